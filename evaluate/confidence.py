"""Paired bootstrap intervals: how sure is a difference measured on the same prompts and noise?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> list[float]:
        """`[value, low, high]`."""
        return [self.value, self.low, self.high]


def paired_bootstrap(
    statistic: Callable[[Indices], float], count: int, repeats: int = 200, seed: int = 0
) -> Interval:
    """Percentile interval of a statistic of the chosen prompts, resampled with replacement.

    Args:
        statistic: maps indices of prompts, `[count]`, to a number; for a paired difference it uses
            the same indices on both sides.
        count: how many prompts there are.
        repeats: resamples.
        seed: of the resampling, so that the interval is reproducible.
    """
    rng = np.random.default_rng(seed)
    draws = [statistic(rng.integers(0, count, count)) for _ in range(repeats)]
    value = statistic(np.arange(count))
    # The statistic of a resample is shifted by its repeated rows (the Frechet distance is biased),
    # so the spread of the draws is used around the estimate, not the draws themselves.
    spread = np.quantile(draws, [0.025, 0.975]) - np.mean(draws)
    return Interval(value, float(value + spread[0]), float(value + spread[1]))
