"""Feature error: distance of each image's features to those of the unaccelerated image.

It is the mean squared distance over the bundled 64 features, as a share of their variance. It has
the least noise of all metrics, and it counts improvements as errors. Use it as a filter, not as a
goal.
"""

from __future__ import annotations

import numpy as np

from evaluate.image_set import ImageSet
from evaluate.metrics.shared.base import Metric, ReferenceKind, mean_of, other
from evaluate.statistics.distances import WeightedStatistic


def prepare(side: ImageSet, against: ImageSet | None, _: ReferenceKind) -> WeightedStatistic:
    """The mean over pairs."""
    mine = side.features("bundled").astype(np.float64)
    base = other(against).features("bundled").astype(np.float64)
    return mean_of(np.square(mine - base).sum(1) / base.var(0).sum())


METRIC = Metric(
    "feature-error", "feature error", "lower", "bundled", prepare, ("base",), "", bundled=True,
    form="{:.4f}",
)  # fmt: skip
