"""Scoring strategies: prompts and seeds, quality, latency, confidence.

This package has the import name of Hugging Face's `evaluate`; the two cannot share an environment.
"""

from accel.models import ModelConfig, available, read_model
from evaluate.distances import frechet_from_features, kid_from_features
from evaluate.evaluator import Evaluator, evaluate
from evaluate.statistics import ScoreError, Statistics

__all__ = [
    "Evaluator",
    "ModelConfig",
    "ScoreError",
    "Statistics",
    "available",
    "evaluate",
    "frechet_from_features",
    "kid_from_features",
    "read_model",
]
