"""Gaussian of a set of features, as a Frechet distance needs it, in a form that can be merged.

It is kept as its mean and a factor R, with R'R the scatter around the mean, never as sums of
squares. Nothing cancels, and with fewer images than dimensions no covariance is ever formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class ScoreError(ValueError):
    """Error of something that cannot be scored: too few images, or values that are not finite."""


@dataclass(frozen=True)
class GaussianStatistics:
    """Mean and scatter of a set of features.

    Attributes:
        count: number of images; 0 if a file does not say.
        mean: `[d]`.
        factor: `[k, d]` with `factor.T @ factor` the scatter around the mean, or the covariance
            itself if the count is unknown.
    """

    count: int
    mean: Array
    factor: Array

    @classmethod
    def of(cls, features: Any) -> GaussianStatistics:
        """Statistics of features `[n, d]`, n at least 1.

        Raises:
            ScoreError: not a matrix, no row, or values that are not finite.
        """
        array = checked_features(features, least=1)
        mean = array.mean(0)
        return cls(len(array), mean, _compress(array - mean))

    @classmethod
    def of_covariance(cls, mean: Any, covariance: Any, count: int = 0) -> GaussianStatistics:
        """Statistics from a mean `[d]` and a covariance `[d, d]`, as in published files.

        Raises:
            ScoreError: shapes that do not agree, not symmetric, or values that are not finite.
        """
        middle = np.asarray(mean, np.float64).reshape(-1)
        spread = np.asarray(covariance, np.float64)
        if spread.shape != (len(middle), len(middle)) or not np.allclose(spread, spread.T):
            raise ScoreError(
                f"a mean of {len(middle)} dimensions needs a symmetric covariance of the same, "
                f"not one of shape {spread.shape}"
            )
        if not (np.isfinite(middle).all() and np.isfinite(spread).all()):
            raise ScoreError("the statistics hold NaN or infinity")
        values, vectors = np.linalg.eigh(spread * max(1, count - 1))
        keep = values > values.max(initial=0.0) * len(values) * np.finfo(np.float64).eps
        return cls(count, middle, np.sqrt(values[keep])[:, None] * vectors[:, keep].T)

    def merge(self, other: GaussianStatistics) -> GaussianStatistics:
        """Statistics of both sets together (Chan, Golub and LeVeque, 1979).

        Raises:
            ScoreError: other dimensions, or an unknown count.
        """
        if not self.count or not other.count:
            raise ScoreError("statistics without a number of images cannot be merged")
        if len(self.mean) != len(other.mean):
            raise ScoreError(f"{len(self.mean)} and {len(other.mean)} dimensions cannot be merged")
        total = self.count + other.count
        apart = other.mean - self.mean
        between = np.sqrt(self.count * other.count / total) * apart
        mean = self.mean + apart * (other.count / total)
        return GaussianStatistics(
            total, mean, _compress(np.vstack([self.factor, other.factor, between]))
        )

    @property
    def half(self) -> Array:
        """Factor R, with R'R the sample covariance.

        Raises:
            ScoreError: there is only one image.
        """
        if self.count == 1:
            raise ScoreError("one image has no covariance; at least 2 are needed")
        half: Array = self.factor / np.sqrt(max(1, self.count - 1))
        return half


def checked_features(features: Any, least: int = 2) -> Array:
    """Features as float64 `[n, d]`.

    Raises:
        ScoreError: not a matrix, fewer than `least` rows, or values that are not finite.
    """
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or len(array) < least:
        raise ScoreError(f"features must be [n, d] with n >= {least}, not of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ScoreError("features hold NaN or infinity; the images they came from are broken")
    return array


def _compress(factor: Array) -> Array:
    """The same scatter in at most twice as many rows as dimensions.

    Fewer rows would cost a decomposition at every merge, and are no faster to compare.
    """
    if len(factor) > 2 * factor.shape[1]:
        return np.asarray(np.linalg.qr(factor, mode="r"))
    return factor
