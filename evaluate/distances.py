"""Distances between sets of feature vectors: Frechet and kernel, in float64.

Both take the features themselves. With fewer images than dimensions the Frechet distance never
forms a covariance: with centred, scaled features A and B the covariances are A'A and B'B, and the
trace of the root of their product is the sum of the singular values of AB'.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class ScoreError(ValueError):
    """Something that cannot be scored: too few images, or values that are not finite."""


def frechet_from_features(features: Any, reference_features: Any) -> float:
    """Frechet distance between Gaussians fitted to two sets (Heusel et al., 2017, equation 6).

    It is biased upwards by about 1/n: compare only distances with the same numbers of images.

    Args:
        features: `[n, d]`, n at least 2.
        reference_features: `[m, d]`, m at least 2.

    Raises:
        ScoreError: wrong shapes, too few rows, or values that are not finite.
    """
    a, b = check(features), check(reference_features)
    if a.shape[1] != b.shape[1]:
        raise ScoreError(f"features have {a.shape[1]} and {b.shape[1]} dimensions; they must agree")
    shift = a.mean(0) - b.mean(0)
    half_a, half_b = _half_covariance(a), _half_covariance(b)
    cross = np.linalg.svd(half_a @ half_b.T, compute_uv=False).sum()
    spread = np.square(half_a).sum() + np.square(half_b).sum() - 2 * cross
    return float(max(0.0, shift @ shift + spread))


def kid_from_features(features: Any, reference_features: Any) -> float:
    """Kernel distance: the unbiased squared MMD with the kernel (x'y / d + 1)^3.

    Binkowski et al., 2018, equation 4, over all pairs instead of random subsets, so it draws no
    random numbers. Unbiased, so it can be below zero.

    Args:
        features: `[n, d]`, n at least 2.
        reference_features: `[m, d]`, m at least 2.

    Raises:
        ScoreError: wrong shapes, too few rows, or values that are not finite.
    """
    a, b = check(features), check(reference_features)
    n, m = len(a), len(b)
    own_a, own_b, cross = _kernel(a, a), _kernel(b, b), _kernel(a, b)
    within_a = (own_a.sum() - np.trace(own_a)) / (n * (n - 1))
    within_b = (own_b.sum() - np.trace(own_b)) / (m * (m - 1))
    return float(within_a + within_b - 2 * cross.mean())


def check(features: Any) -> Array:
    """Features as float64 `[n, d]`.

    Raises:
        ScoreError: not a matrix, fewer than 2 rows, or values that are not finite.
    """
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or len(array) < 2:
        raise ScoreError(f"features must be [n, d] with n >= 2, not of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ScoreError("features hold NaN or infinity; the images they came from are broken")
    return array


def _half_covariance(features: Array) -> Array:
    """R with R'R the sample covariance, with as few rows as possible."""
    centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    half: Array = centred
    if len(centred) > centred.shape[1]:
        half = np.asarray(np.linalg.qr(centred, mode="r"))
    return half


def _kernel(a: Array, b: Array) -> Array:
    base: Array = a @ b.T / a.shape[1] + 1
    return base * base * base  # Many times faster than a power.
