"""Distances between sets of feature vectors: Frechet and kernel, in float64.

Each comes as a number and as a `WeightedStatistic`: the same number as a function of how often
every image counts, which resampling needs. Parts that do not depend on it are computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluate.statistics.gaussian import Array, GaussianStatistics, ScoreError, checked_features

Weights = NDArray[np.float64]
WeightedStatistic = Callable[[Weights], float]
Kernel = Callable[[Array, Array], Array]
CHUNK = 2048  # Rows of a reference whose kernel is formed at once.


def frechet_from_features(features: Any, reference_features: Any) -> float:
    """Frechet distance between Gaussians fitted to two sets (Heusel et al., 2017, equation 6).

    It is biased upwards by about 1/n: compare only distances with the same numbers of images.

    Args:
        features: `[n, d]`, n at least 2.
        reference_features: `[m, d]`, m at least 2.

    Raises:
        ScoreError: wrong shapes, too few rows, or values that are not finite.
    """
    a, b = checked_features(features), checked_features(reference_features)
    return frechet(GaussianStatistics.of(a), GaussianStatistics.of(b))


def frechet(a: GaussianStatistics, b: GaussianStatistics) -> float:
    """Frechet distance between two Gaussians.

    With factors A'A and B'B of the covariances, the trace of the root of their product is the sum
    of the singular values of AB'. No root of a `[d, d]` matrix is taken.

    Raises:
        ScoreError: other dimensions.
    """
    _agree(len(a.mean), len(b.mean))
    shift = a.mean - b.mean
    cross = _nuclear(a.half @ b.half.T)
    spread = np.square(a.half).sum() + np.square(b.half).sum() - 2 * cross
    return float(max(0.0, shift @ shift + spread))


def frechet_statistic(features: Any, reference: GaussianStatistics) -> WeightedStatistic:
    """Frechet distance of reweighted features `[n, d]` to a fixed reference.

    Raises:
        ScoreError: see `frechet_from_features`.
    """
    a = checked_features(features)
    _agree(a.shape[1], len(reference.mean))
    half = reference.half
    fixed = np.square(half).sum()
    squares = np.square(a).sum(1)
    seen = a @ half.T
    if seen.shape[1] > len(seen):  # The same singular values with fewer columns.
        seen = np.asarray(np.linalg.qr(seen.T, mode="r")).T

    def value(weights: Weights) -> float:
        rows, root, total = _rows(weights)
        mean = weights @ a / total
        shift = mean - reference.mean
        own = (weights @ squares - total * mean @ mean) / (total - 1)
        part = root * (seen[rows] - weights @ seen / total) / np.sqrt(total - 1)
        return float(max(0.0, shift @ shift + own + fixed - 2 * _nuclear(part, _whole(weights))))

    return value


def frechet_paired(features: Any, others: Any) -> WeightedStatistic:
    """Frechet distance between two sets `[n, d]` of the same prompts, reweighted alike.

    Raises:
        ScoreError: see `frechet_from_features`; or other numbers of images.
    """
    a, b = checked_features(features), checked_features(others)
    _agree(a.shape[1], b.shape[1])
    _same(len(a), len(b))
    gram = a @ b.T if len(a) <= a.shape[1] else None
    squares = [np.square(x).sum(1) for x in (a, b)]

    def value(weights: Weights) -> float:
        rows, root, total = _rows(weights)
        mean_a, mean_b = weights @ a / total, weights @ b / total
        own = [
            (weights @ square - total * mean @ mean) / (total - 1)
            for square, mean in zip(squares, (mean_a, mean_b), strict=True)
        ]
        if gram is None:
            factors = [
                np.asarray(np.linalg.qr(root * (x[rows] - mean), mode="r"))
                for x, mean in ((a, mean_a), (b, mean_b))
            ]
            cross = factors[0] @ factors[1].T
        else:
            share = weights / total
            centred = gram - (gram @ share)[:, None] - share @ gram + share @ gram @ share
            cross = root * centred[np.ix_(rows, rows)] * root.T
        shift = mean_a - mean_b
        return float(
            max(0.0, shift @ shift + sum(own) - 2 * _nuclear(cross, _whole(weights)) / (total - 1))
        )

    return value


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
    statistic = kernel_statistic(features, reference_features, cubic)
    return statistic(np.ones(len(np.asarray(features))))


def kernel_within(features: Any, kernel: Kernel) -> float:
    """Mean kernel of all pairs of different rows `[m, d]`; m may be large."""
    b = checked_features(features)
    total = 0.0
    for start in range(0, len(b), CHUNK):
        part = b[start : start + CHUNK]
        block = kernel(part, b)
        total += block.sum() - block[np.arange(len(part)), start + np.arange(len(part))].sum()
    return float(total / (len(b) * (len(b) - 1)))


def kernel_statistic(
    features: Any, reference_features: Any, kernel: Kernel, within: float | None = None
) -> WeightedStatistic:
    """Unbiased squared MMD of reweighted features `[n, d]` to a fixed reference `[m, d]`.

    Two copies of one image are no pair, so that a U-statistic stays one under resampling.

    Args:
        features: `[n, d]`.
        reference_features: `[m, d]`.
        kernel: kernel of all pairs.
        within: `kernel_within` of the reference, if it is known.

    Raises:
        ScoreError: see `kid_from_features`.
    """
    a, b = checked_features(features), checked_features(reference_features)
    _agree(a.shape[1], b.shape[1])
    own = kernel(a, a)
    np.fill_diagonal(own, 0)
    across = sum(kernel(a, b[i : i + CHUNK]).sum(1) for i in range(0, len(b), CHUNK)) / len(b)
    inside = kernel_within(b, kernel) if within is None else within

    def value(weights: Weights) -> float:
        total = weights.sum()
        pairs = total**2 - np.square(weights).sum()
        return float(weights @ own @ weights / pairs + inside - 2 * weights @ across / total)

    return value


def kernel_paired(features: Any, others: Any, kernel: Kernel) -> WeightedStatistic:
    """Unbiased squared MMD between two sets `[n, d]` of the same prompts, reweighted alike.

    The one-sample U-statistic (Gretton et al., 2012, lemma 6): an image is never compared with its
    own partner, so equal sets are at distance 0.

    Raises:
        ScoreError: see `kid_from_features`; or other numbers of images.
    """
    a, b = checked_features(features), checked_features(others)
    _agree(a.shape[1], b.shape[1])
    _same(len(a), len(b))
    across = kernel(a, b)
    terms = kernel(a, a) + kernel(b, b) - across - across.T
    np.fill_diagonal(terms, 0)

    def value(weights: Weights) -> float:
        pairs = weights.sum() ** 2 - np.square(weights).sum()
        return float(weights @ terms @ weights / pairs)

    return value


def cubic(a: Array, b: Array) -> Array:
    """(x'y / d + 1)^3 of all pairs, `[n, m]`: the kernel of KID."""
    base: Array = a @ b.T / a.shape[1] + 1
    return base * base * base  # Many times faster than a power.


def _nuclear(matrix: Array, exact: bool = True) -> float:
    """Sum of the singular values; for a resample to five digits, in a fraction of the time."""
    if exact:
        return float(np.linalg.svd(matrix, compute_uv=False).sum())
    small = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(small @ small.T), 0.0)).sum())


def _whole(weights: Weights) -> bool:
    """Whether every image counts once, so that the result is the score itself and no resample."""
    return bool((weights == 1).all())


def _rows(weights: Weights) -> tuple[NDArray[np.int64], Array, float]:
    """The images that count, the roots of their weights as a column, and the sum of all."""
    rows = np.flatnonzero(weights)
    if len(rows) < 2:
        raise ScoreError("at least 2 different images are needed")
    return rows, np.sqrt(weights[rows])[:, None], float(weights.sum())


def _agree(first: int, second: int) -> None:
    if first != second:
        raise ScoreError(f"features have {first} and {second} dimensions; they must agree")


def _same(first: int, second: int) -> None:
    if first != second:
        raise ScoreError(f"{first} and {second} images; a paired distance needs equally many")
