"""Means over images as statistics that remember the value of each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluate.statistics.distances import Weights

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Mean:
    """Weighted mean of one value per image: a `WeightedStatistic`.

    Attributes:
        values: value of each image, `[n]`.
        bounds: least and largest value that an image can have, if there are bounds.
    """

    values: NDArray[np.float64]
    bounds: Bounds | None = None

    def __call__(self, weights: Weights) -> float:
        return float(weights @ self.values / weights.sum())

    def minus(self, other: Mean) -> Mean:
        """The mean difference of two sides of the same prompts."""
        apart = None
        if self.bounds is not None and other.bounds is not None:
            apart = (self.bounds[0] - other.bounds[1], self.bounds[1] - other.bounds[0])
        return Mean(self.values - other.values, apart)


def mean_of(values: NDArray[np.floating[Any]], bounds: Bounds | None = None) -> Mean:
    """Mean of one value per image, `[n]`."""
    return Mean(np.asarray(values, np.float64).reshape(-1), bounds)
