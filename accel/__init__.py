"""The accelerated sampler: apply a strategy to an unmodified diffusers pipeline, and remove it.

Names are imported when they are first used, so that Ctrl-C ends `python -m accel` in one line.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accel.applying import accelerated, apply, choose, measuring, remove, stats
    from accel.block_changes import change_curves
    from accel.call_records import CallRecord
    from strategies import StrategyError

_HOMES = {
    "CallRecord": "accel.call_records",
    "StrategyError": "strategies",
    "accelerated": "accel.applying",
    "apply": "accel.applying",
    "change_curves": "accel.block_changes",
    "choose": "accel.applying",
    "measuring": "accel.applying",
    "remove": "accel.applying",
    "stats": "accel.applying",
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
    "choose",
    "measuring",
    "remove",
    "stats",
]
