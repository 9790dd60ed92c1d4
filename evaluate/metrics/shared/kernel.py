"""Shared part of all kernel distances; they differ in network and kernel. Unbiased for any n."""

from __future__ import annotations

import numpy as np

from evaluate.image_set import ImageSet
from evaluate.metrics.shared.base import SETS, Metric, ReferenceKind, other
from evaluate.statistics.distances import (
    Kernel,
    WeightedStatistic,
    Weights,
    kernel_paired,
    kernel_statistic,
    kernel_within,
)
from evaluate.statistics.gaussian import checked_features


def make(
    name: str,
    title: str,
    network: str,
    kernel: Kernel,
    scale: float,
    paper: str,
    form: str,
    margin: float,
) -> Metric:
    """An unbiased squared MMD over a network's features, times `scale` (Gretton et al., 2012)."""

    def prepare(side: ImageSet, against: ImageSet | None, view: ReferenceKind) -> WeightedStatistic:
        there = other(against)
        mine, theirs = side.features(network), there.features(network)
        if view == "base":
            statistic = kernel_paired(mine, theirs, kernel)
        else:
            if name not in there.memory:
                there.memory[name] = kernel_within(theirs, kernel)
            statistic = kernel_statistic(mine, theirs, kernel, there.memory[name])

        def value(weights: Weights) -> float:
            return scale * statistic(weights)

        return value

    def noise_floor(side: ImageSet) -> float:
        rows = checked_features(side.features(network))
        own = float(np.mean(np.diagonal(kernel(rows, rows))))
        return scale * 2 * (own - kernel_within(rows, kernel)) / len(rows)

    return Metric(
        name, title, "lower", network, prepare, SETS, paper, form=form,
        bundled=network == "bundled", noise_floor=noise_floor, margin=margin,
    )  # fmt: skip
