"""One value for each call of a generation: seconds or multiply-accumulates of the denoiser.

A call may make several passes of the denoiser, and all of them count for it. Calls that a run from
an image leaves out have no value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import accel
from accel.pipelines.devices import device_of
from evaluate.speed.timing import time_once

Generate = Callable[[], Any]


@dataclass(frozen=True)
class CallSeconds:
    """Seconds of one generation.

    Attributes:
        calls: seconds of the denoiser by call.
        outside: seconds of the rest: text encoder, solver, autoencoder.
    """

    calls: dict[int, float]
    outside: float


def call_seconds(pipe: Any, generate: Generate) -> CallSeconds:
    """Time each call of a generation.

    Args:
        pipe: pipeline with a strategy.
        generate: makes one generation with it.
    """
    with accel.measuring(pipe, time=True):
        total = time_once(str(device_of(pipe)), generate)
    calls: dict[int, float] = defaultdict(float)
    for record in accel.stats(pipe):
        assert record.seconds is not None
        calls[record.call] += record.seconds
    return CallSeconds(dict(calls), total - sum(calls.values()))


def call_macs(pipe: Any, generate: Generate) -> dict[int, int]:
    """Count the multiply-accumulates of each call of a generation.

    Args:
        pipe: pipeline with a strategy.
        generate: makes one generation with it.
    """
    with accel.measuring(pipe, macs=True):
        generate()
    calls: dict[int, int] = defaultdict(int)
    for record in accel.stats(pipe):
        calls[record.call] += record.macs or 0
    return dict(calls)
