"""Scoring strategies: prompts and seeds, quality, latency, confidence.

This package has the import name of Hugging Face's `evaluate`; the two cannot share an environment.
Names are imported when they are first used, so that Ctrl-C ends `python -m evaluate` in one line.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from strategies.commands.extras import require
from strategies.plugins.former_names import announce

if TYPE_CHECKING:
    from accel.models.config import ModelConfig, available, read_model
    from evaluate.evaluator import Evaluator, evaluate
    from evaluate.statistics.distances import frechet_from_features, kid_from_features
    from evaluate.statistics.gaussian import GaussianStatistics, ScoreError

    Statistics = GaussianStatistics

_HOMES = {
    "Evaluator": "evaluate.evaluator",
    "GaussianStatistics": "evaluate.statistics.gaussian",
    "ModelConfig": "accel.models.config",
    "ScoreError": "evaluate.statistics.gaussian",
    "available": "accel.models.config",
    "evaluate": "evaluate.evaluator",
    "frechet_from_features": "evaluate.statistics.distances",
    "kid_from_features": "evaluate.statistics.distances",
    "read_model": "accel.models.config",
}
_FORMER = {"Statistics": "GaussianStatistics"}  # They work for one release.


def __getattr__(name: str) -> Any:
    if name in _FORMER:
        now = _FORMER[name]
        announce(__name__, name, now)
        name = now
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _HOMES[name].startswith("accel."):
        require("evaluate")
    return getattr(import_module(_HOMES[name]), name)


__all__ = [
    "Evaluator",
    "GaussianStatistics",
    "ModelConfig",
    "ScoreError",
    "available",
    "evaluate",
    "frechet_from_features",
    "kid_from_features",
    "read_model",
]
