"""Intervals of means of bounded values per image: accuracies, shares, and their paired changes.

Resampling fails for these: if few images differ, resamples contain none of them, or the quantiles
jump, and an interval excludes 0 because of two images. The score interval tests every possible
mean: whether the data would be unusual under it, with the variance of the most likely distribution
that has this mean. For single binary values it is Wilson's interval (Wilson, 1927, J. Am. Stat.
Assoc. 22, 209-212), for paired binary values Tango's (1998, Statistics in Medicine 17, 891-908,
equations 3 and 6). Values between, such as one of two objects right, have a distribution over more
than two points. The most likely one under a given mean has the weights of empirical likelihood
(Owen, 2001, Empirical Likelihood, section 2.9), with the two bounds among its points even if no
image has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054  # The 97.5 % quantile of the normal distribution.
LEVEL = 0.05
LATTICE = 60  # Shares of up to six objects are whole multiples of one in so many.


def score_interval(
    values: NDArray[np.float64], bounds: tuple[float, float]
) -> tuple[float, float, float]:
    """The mean and its 95 % score interval.

    If the bounds are symmetric, the values are paired changes. Their interval excludes 0 only if
    the exact test does so as well, see `p_no_change`.

    Args:
        values: value of each image, `[n]`, n at least 1.
        bounds: least and largest possible value.

    Returns:
        The mean, the lower and the upper end.
    """
    mean = float(values.mean())
    low, high = _end(values, bounds, bounds[0]), _end(values, bounds, bounds[1])
    if bounds[0] == -bounds[1] and not low <= 0 <= high and p_no_change(values) >= LEVEL:
        low, high = min(low, 0.0), max(high, 0.0)
    return mean, low, high


def _end(values: NDArray[np.float64], bounds: tuple[float, float], outer: float) -> float:
    """The end of the interval between the mean and one of the bounds."""
    mean, count = float(values.mean()), len(values)
    points, counts = np.unique(values, return_counts=True)

    def excess(middle: float) -> float:
        """Function above 0 if the data are unusual under this mean."""
        variance = _variance(points, counts / count, middle, bounds)
        return count * (mean - middle) ** 2 - Z**2 * variance

    inner = mean + (outer - mean) * 1e-12
    if abs(outer - mean) < 1e-12 or excess(inner) >= 0:
        return mean
    return _root(excess, inner, outer, 1e-12)


def _variance(
    points: NDArray[np.float64],
    shares: NDArray[np.float64],
    middle: float,
    bounds: tuple[float, float],
) -> float:
    """The variance of the most likely distribution between the bounds with this mean."""
    apart = points - middle
    below, above = middle - bounds[0], bounds[1] - middle
    if below <= 0 or above <= 0:
        return 0.0

    def surplus(tilt: float) -> float:
        return float(shares @ (apart / (1 + tilt * apart)))

    down = surplus(0.0) > 0  # The data lie above the mean asked for, so weight moves down.
    edge, reach = (1 / below, below) if down else (-1 / above, above)
    # The weight of values on the bound itself would be infinite at the edge.
    tilt = edge * (1 - 1e-12)
    left = surplus(tilt)
    if left == 0 or (left > 0) != down:
        tilt = _root(surplus, 0.0, tilt, 1e-14)
        left = 0.0
    weights = shares / (1 + tilt * apart)
    # The rest of the mean lies on the bound, even if no image is there.
    return float(weights @ apart**2 + abs(left) / reach * reach**2)


def p_no_change(values: NDArray[np.float64]) -> float:
    """Exact two-sided p-value of no change: every image's change may as well be reversed.

    For binary values it is McNemar's exact test. Values that are no whole multiples of 1/60, as
    only continuous scores have, get 0: the score interval alone decides on them.
    """
    steps = np.rint(values * LATTICE).astype(int)
    if not np.allclose(steps, values * LATTICE, atol=1e-6):
        return 0.0
    sizes = np.abs(steps[steps != 0])
    if not len(sizes):
        return 1.0
    unit = math.gcd(*map(int, sizes))
    sizes = sizes // unit
    total = int(sizes.sum())
    chance = np.zeros(2 * total + 1)
    chance[total] = 1.0
    for size in sizes:
        chance = (np.roll(chance, size) + np.roll(chance, -size)) / 2
    seen = abs(int(steps.sum())) // unit
    sums = np.abs(np.arange(-total, total + 1))
    return float(min(1.0, chance[sums >= seen].sum()))


def _root(function: Callable[[float], float], low: float, high: float, exact: float) -> float:
    from scipy.optimize import brentq  # Here, so that a run is read without it.

    return float(brentq(function, low, high, xtol=exact))
