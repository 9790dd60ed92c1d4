"""The accelerated sampler: apply a strategy to an unmodified diffusers pipeline, and remove it.

Names are imported when they are first used, so that Ctrl-C ends `python -m accel` in one line.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accel.calibration import change_curves
    from accel.records import CallRecord
    from accel.sampler import accelerated, apply, measuring, remove, stats
    from strategies import StrategyError

_HOMES = {
    "CallRecord": "accel.records",
    "StrategyError": "strategies",
    "accelerated": "accel.sampler",
    "apply": "accel.sampler",
    "change_curves": "accel.calibration",
    "measuring": "accel.sampler",
    "remove": "accel.sampler",
    "stats": "accel.sampler",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


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
