"""How sure is a figure: paired bootstrap intervals, and what too few images add to a distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluate.distances import Statistic
from evaluate.statistics import ScoreError


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> list[float]:
        """`[value, low, high]`."""
        return [self.value, self.low, self.high]

    @property
    def noise(self) -> bool:
        """Whether no difference from zero shows."""
        return self.low <= 0 <= self.high


def paired_bootstrap(
    statistic: Statistic, count: int, repeats: int = 200, seed: int = 0
) -> Interval:
    """Percentile interval of a statistic, prompts resampled with replacement.

    Args:
        statistic: maps how often each prompt counts, `[count]`, to a number; a paired difference
            uses the same weights on both sides.
        count: how many prompts there are.
        repeats: resamples.
        seed: of the resampling, so that the interval is reproducible.
    """
    rng = np.random.default_rng(seed)
    draws: list[float] = []
    while len(draws) < repeats:
        weights = np.bincount(rng.integers(0, count, count), minlength=count)
        if np.count_nonzero(weights) > 1:  # One image alone has no distance to anything.
            draws.append(statistic(weights.astype(np.float64)))
    value = statistic(np.ones(count))
    # The statistic of a resample is shifted by its repeated rows (the Frechet distance is biased),
    # so the spread of the draws is used around the estimate, not the draws themselves.
    spread = np.quantile(draws, [0.025, 0.975]) - np.mean(draws)
    return Interval(value, float(value + spread[0]), float(value + spread[1]))


def extrapolated(statistic: Statistic, count: int, repeats: int = 8, seed: int = 0) -> float:
    """The value that infinitely many images would have: a line through 1/n, read at 0.

    Chong and Forsyth, 2020 (FID-infinity), with random subsets of five sizes from half of the
    images to all. It shows how much of a distance is bias; its own spread is several times that of
    the distance.

    Raises:
        ScoreError: fewer than 8 images.
    """
    if count < 8:
        raise ScoreError(f"{count} images are too few to extrapolate from; at least 8 are needed")
    rng = np.random.default_rng(seed)
    sizes, values = [], []
    for size in np.unique(np.linspace(count / 2, count, 5).astype(int)):
        for _ in range(1 if size == count else repeats):
            weights = np.zeros(count)
            weights[rng.permutation(count)[:size]] = 1
            sizes.append(1 / size)
            values.append(statistic(weights))
    return float(np.polynomial.Polynomial.fit(sizes, values, 1)(0.0))
