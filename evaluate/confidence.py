"""How sure is a figure: paired bootstrap intervals, without the bias of few images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluate.distances import Statistic


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
    statistic: Statistic, count: int, repeats: int = 200, seed: int = 0, biased: bool = False
) -> Interval:
    """Interval of a statistic, prompts resampled with replacement.

    Args:
        statistic: maps how often each prompt counts, `[count]`, to a number; a paired difference
            uses the same weights on both sides.
        count: how many prompts there are.
        repeats: resamples.
        seed: of the resampling, so that the interval is reproducible.
        biased: whether the statistic has a bias that falls with the number of images. A resample
            has about as much of it again as the sample has, so the value and its interval are moved
            by as much the other way (Efron and Tibshirani, 1993, section 10.6): they are of what
            endless images would have.
    """
    rng = np.random.default_rng(seed)
    draws: list[float] = []
    while len(draws) < repeats:
        weights = np.bincount(rng.integers(0, count, count), minlength=count)
        if np.count_nonzero(weights) > 1:  # One image alone has no distance to anything.
            draws.append(statistic(weights.astype(np.float64)))
    value = statistic(np.ones(count))
    middle = float(np.mean(draws))
    # The spread of the draws is used around the estimate, not the draws themselves: repeated rows
    # shift them.
    low, high = np.quantile(draws, [0.025, 0.975]) - middle
    estimate = value + (value - middle if biased else 0.0)
    return Interval(estimate, float(estimate + low), float(estimate + high))
