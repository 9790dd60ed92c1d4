"""Inception Score (Salimans et al., 2016, 1606.03498): exp of the mean KL of p(class | image).

It is taken over all images at once instead of ten splits, so that it depends on no order. It is
biased by the number of images, and does not see any reference.
"""

from __future__ import annotations

import numpy as np

from evaluate.image_set import ImageSet
from evaluate.metrics.shared.base import Metric, ReferenceKind
from evaluate.statistics.distances import WeightedStatistic, Weights


def prepare(side: ImageSet, _: ImageSet | None, __: ReferenceKind) -> WeightedStatistic:
    """Exp of the mutual information between image and class, under weights."""
    shares = np.maximum(side.features("inception-classes").astype(np.float64), 1e-16)
    own = (shares * np.log(shares)).sum(1)

    def value(weights: Weights) -> float:
        part = weights / weights.sum()
        marginal = part @ shares
        return float(np.exp(part @ own - marginal @ np.log(marginal)))

    return value


METRIC = Metric(
    "is", "Inception Score", "higher", "inception-classes", prepare, ("alone",), "1606.03498",
    "DeepCache, FORA", biased=True, margin=1.0,
)  # fmt: skip
