"""95 % intervals of scores, by the method that suits the metric.

Means of values with bounds, such as accuracies, have a score interval
(`evaluate/statistics/bounded.py`). Everything else has a paired bootstrap.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluate.statistics.bounded import Z, score_interval
from evaluate.statistics.distances import WeightedStatistic
from evaluate.statistics.means import Mean

# Images that a resampled interval needs. Resamples of fewer are hardly ever different from the
# sample: of two images with features, none is.
FEWEST = 4


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval; without one the ends are infinite."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def to_json(self) -> list[float]:
        """`[value, low, high]`."""
        return [self.value, self.low, self.high]


def interval(statistic: WeightedStatistic, count: int, biased: bool = False) -> Interval:
    """The 95 % interval of a score.

    Args:
        statistic: see `paired_bootstrap`.
        count: number of images.
        biased: see `paired_bootstrap`.
    """
    if isinstance(statistic, Mean) and statistic.bounds is not None:
        return Interval(*score_interval(statistic.values, statistic.bounds))
    return paired_bootstrap(statistic, count, biased=biased)


def paired_bootstrap(
    statistic: WeightedStatistic,
    count: int,
    repeats: int = 200,
    seed: int = 0,
    biased: bool = False,
) -> Interval:
    """Interval of a statistic, with prompts resampled with replacement.

    For few images the quantiles of resamples are too narrow, by the same factors as the normal
    interval of a mean: the resamples' variance lacks n / (n - 1), and the normal quantile replaces
    Student's. Both are corrected (Hesterberg, 2015, The American Statistician 69, 371-386, section
    4.2).

    Args:
        statistic: function from how often each prompt counts, `[count]`, to a number; a paired
            difference uses the same weights on both sides.
        count: number of prompts. Fewer than `FEWEST` have no interval: its ends are infinite, and
            the value is that of the sample.
        repeats: number of resamples.
        seed: random seed of the resampling, so that the interval is reproducible.
        biased: whether the statistic has a bias that falls with the number of images. A resample
            has about that bias once more, so value and interval are moved by it in the other
            direction (Efron and Tibshirani, 1993, section 10.6). They are then those of infinitely
            many images.
    """
    value = statistic(np.ones(count))
    if count < FEWEST:
        return Interval(value, -math.inf, math.inf)
    draws = [statistic(weights) for weights in resample_weights(count, repeats, seed)]
    return around(value, draws, count, biased)


@functools.lru_cache(maxsize=8)  # All metrics and strategies of some prompts have the same.
def resample_weights(count: int, repeats: int, seed: int) -> tuple[NDArray[np.float64], ...]:
    """Number of times that each of `count` prompts is in each resample, with replacement.

    Each resample has at least two different prompts: one image alone has no distance to anything.

    Args:
        count: number of prompts, at least two.
        repeats: number of resamples.
        seed: random seed.
    """
    rng, found = np.random.default_rng(seed), list[NDArray[np.float64]]()
    while len(found) < repeats:
        one = np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)
        if np.count_nonzero(one) > 1:
            one.flags.writeable = False
            found.append(one)
    return tuple(found)


def around(value: float, draws: Sequence[float], count: int, biased: bool = False) -> Interval:
    """95 % interval of a value from its values on resamples of the prompts.

    Args:
        value: value on all prompts.
        draws: values on resamples; without any there is no interval.
        count: number of prompts.
        biased: see `paired_bootstrap`.
    """
    if count < FEWEST or not draws:
        return Interval(value, -math.inf, math.inf)
    middle = float(np.mean(draws))
    # The spread of the draws is used around the estimate, not the draws themselves: repeated rows
    # shift them.
    from scipy.special import stdtrit  # Here, so that a run is read without it.

    wider = float(stdtrit(count - 1, 0.975)) / Z * math.sqrt(count / (count - 1))
    low, high = (np.quantile(draws, [0.025, 0.975]) - middle) * wider
    estimate = value + (value - middle if biased else 0.0)
    return Interval(estimate, float(estimate + low), float(estimate + high))
