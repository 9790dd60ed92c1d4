"""Scores of one strategy and of the unaccelerated pipeline, with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from evaluate.extraction import ExtractedFeatures
from evaluate.image_set import ImageSet
from evaluate.metrics import Metric, ReferenceKind
from evaluate.statistics.bootstrap import Interval, interval
from evaluate.statistics.distances import WeightedStatistic, Weights
from evaluate.statistics.means import Mean

MetricFunctions = dict[str, WeightedStatistic]


def statistics(
    side: ImageSet,
    base: ImageSet,
    references: Mapping[ReferenceKind, ImageSet],
    metrics: Iterable[Metric],
) -> MetricFunctions:
    """Every score of a strategy as a function of how often each image counts.

    Args:
        side: images of the strategy.
        base: images of the unaccelerated pipeline on the same prompts and noise.
        references: further sides to compare with, by view: `real`, `self`.
        metrics: metrics to compute.

    Raises:
        ScoreError: too few images, broken features, or a reference without the features that a
            metric reads.
    """
    against: dict[ReferenceKind, ImageSet | None] = {**references, "base": base, "alone": None}
    return {
        metric.key(view): metric.prepare(side, against[view], view)
        for metric in metrics
        for view in metric.views
        if view in against
    }


def full_scores(found: MetricFunctions, count: int) -> dict[str, float]:
    """Scores over all images."""
    return {key: statistic(np.ones(count)) for key, statistic in found.items()}


def intervals(
    mine: MetricFunctions, base: MetricFunctions, metrics: Iterable[Metric], count: int
) -> dict[str, list[float]]:
    """95 % intervals, paired over prompts, as `[value, low, high]`.

    Value and interval of a biased metric are bias-corrected: those of infinitely many images. A
    score without an interval is left out, as most scores of fewer than `FEWEST` images are.

    Returns:
        Intervals by name for metrics that compare with the unaccelerated images, and for biased
        ones. All metrics that do not compare with these images also have the difference to the
        unaccelerated pipeline, by name and `_change`, unless `mine` is `base`.
    """
    found: dict[str, Interval] = {}
    for metric in metrics:
        for view in metric.views:
            key = metric.key(view)
            if key not in mine:
                continue
            if view == "base" or metric.biased:
                found[key] = interval(mine[key], count, biased=metric.biased)
            if view != "base" and mine is not base:
                change = _difference(mine[key], base[key])
                found[f"{key}_change"] = interval(change, count, biased=metric.biased)
    return _known(found)


def changes(
    mine: MetricFunctions, other: MetricFunctions, metrics: Iterable[Metric], count: int
) -> dict[str, list[float]]:
    """95 % intervals of every score's difference, paired over prompts, as `[value, low, high]`.

    Those of biased metrics are bias-corrected. A score without an interval is left out.
    """
    return _known(
        {
            key: interval(_difference(mine[key], other[key]), count, biased=metric.biased)
            for metric in metrics
            for key in map(metric.key, metric.views)
            if key in mine
        }
    )


def _known(found: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {key: one.to_json() for key, one in found.items() if one.known}


def _difference(mine: WeightedStatistic, base: WeightedStatistic) -> WeightedStatistic:
    if isinstance(mine, Mean) and isinstance(base, Mean):
        return mine.minus(base)

    def value(weights: Weights) -> float:
        return mine(weights) - base(weights)

    return value


@dataclass(frozen=True)
class Scoring:
    """Metrics, and the references that images are compared with.

    Attributes:
        metrics: metrics to compute.
        references: sides to compare with besides the unaccelerated images, by view.
    """

    metrics: tuple[Metric, ...]
    references: Mapping[ReferenceKind, ImageSet]

    def statistics(self, sample: ExtractedFeatures, base: ExtractedFeatures) -> MetricFunctions:
        """Every score of a sample as a function of the weights.

        Raises:
            ScoreError: too few images, or broken features.
        """
        return statistics(sample.side(), base.side(), self.references, self.metrics)

    def score(self, sample: ExtractedFeatures, base: ExtractedFeatures) -> dict[str, float]:
        """Scores of a sample, with `memory_bytes` if it was measured.

        Raises:
            ScoreError: too few images, or broken features.
        """
        found = full_scores(self.statistics(sample, base), sample.count)
        return found if sample.memory is None else found | {"memory_bytes": float(sample.memory)}

    def noise_floors(self, base: ExtractedFeatures) -> dict[str, float]:
        """Noise floor of each distance to a reference, from the unaccelerated images; see
        `Metric.noise_floor`.
        """
        return {
            metric.key(view): metric.noise_floor(base.side())
            for metric in self.metrics
            if metric.noise_floor is not None
            for view in self.references
        }

    def intervals(
        self, sample: ExtractedFeatures, base: ExtractedFeatures
    ) -> dict[str, list[float]]:
        """Intervals of `score`; see `intervals`."""
        mine, there = self.statistics(sample, base), self.statistics(base, base)
        return intervals(mine, there, self.metrics, sample.count)
