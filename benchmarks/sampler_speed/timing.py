"""Variants in alternating turns: order, clocks, ratios, and what passes from call to call."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
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


class Laps:
    """Differences between readings: of a clock, or of a counter of work."""

    def __init__(self, read: Callable[[], float]) -> None:
        self.read = read
        self.readings: list[float] = []

    def mark(self) -> None:
        """Read."""
        self.readings.append(self.read())

    def between(self) -> list[float]:
        """From each reading to the next."""
        return [after - before for before, after in pairwise(self.readings)]


class GPULaps:
    """Seconds between events on a GPU, which nothing waits for before the last."""

    def __init__(self) -> None:
        self.events: list[torch.cuda.Event] = []

    def mark(self) -> None:
        """Record an event."""
        self.events.append(torch.cuda.Event(enable_timing=True))
        self.events[-1].record()

    def between(self) -> list[float]:
        """From each event to the next."""
        torch.cuda.synchronize()
        return [before.elapsed_time(after) / 1000 for before, after in pairwise(self.events)]


def laps(device: torch.device) -> Laps | GPULaps:
    """Seconds on this device."""
    return GPULaps() if device.type == "cuda" else Laps(clock(device))


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> tuple[float, list[float]]:
    """The median of the speedups within each turn, and their quartiles."""
    found = [a / b for a, b in zip(theirs, ours, strict=True)]
    # Within what was seen, even of two turns.
    low, middle, high = quantiles(found, n=4, method="inclusive")
    return middle, [low, high]
