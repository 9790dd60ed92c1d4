"""The accelerated sampler: apply a strategy to an unmodified diffusers pipeline, and remove it."""

from accel.calibration import change_curves
from accel.records import CallRecord
from accel.sampler import accelerated, apply, measuring, remove, stats
from strategies import StrategyError

__all__ = [
    "CallRecord",
    "StrategyError",
    "accelerated",
    "apply",
    "change_curves",
    "measuring",
    "remove",
    "stats",
]
