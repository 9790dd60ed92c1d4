"""Shared part of all Frechet distances; they differ in the network."""

from __future__ import annotations

from evaluate.image_set import ImageSet
from evaluate.metrics.shared.base import SETS, Metric, ReferenceKind, other
from evaluate.statistics.distances import WeightedStatistic, frechet_paired, frechet_statistic


def make(
    name: str, title: str, network: str, paper: str, reported: str = "", margin: float = 1.0
) -> Metric:
    """A Frechet distance over a network's features (Heusel et al., 2017)."""

    def prepare(side: ImageSet, against: ImageSet | None, view: ReferenceKind) -> WeightedStatistic:
        there = other(against)
        if view == "base":
            return frechet_paired(side.features(network), there.features(network))
        return frechet_statistic(side.features(network), there.statistics(network))

    return Metric(
        name, title, "lower", network, prepare, SETS, paper, reported, biased=True,
        bundled=network == "bundled", gaussian=True, margin=margin,
    )  # fmt: skip
