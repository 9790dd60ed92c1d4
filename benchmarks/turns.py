"""Rivals in alternating turns: order, clocks, ratios."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import quantiles

import torch


def shuffled(names: Sequence[str], turns: int) -> Iterator[tuple[int, str]]:
    """Every name once per turn, in another order each time; turn 0 is for warming up."""
    order = random.Random(0)
    for turn in range(turns + 1):
        for name in order.sample(names, len(names)):
            yield turn, name


def wait(device: torch.device) -> None:
    """Until the device has done everything asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def clock(device: torch.device) -> Callable[[], float]:
    """Wall time; on a CPU the process's own time, which other processes do not take."""
    return time.perf_counter if device.type == "cuda" else time.process_time


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> tuple[float, list[float]]:
    """The median of the speedups within each turn, and their quartiles."""
    low, middle, high = quantiles([a / b for a, b in zip(theirs, ours, strict=True)], n=4)
    return middle, [low, high]
