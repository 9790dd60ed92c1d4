"""The figures of one strategy beside the unaccelerated pipeline, with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from evaluate.confidence import paired_bootstrap
from evaluate.distances import Statistic, Weights
from evaluate.metrics import SEARCH, Metric, View, choose
from evaluate.sample import Sample
from evaluate.side import Side

Statistics = dict[str, Statistic]


def statistics(
    side: Side, base: Side, references: Mapping[View, Side], metrics: Iterable[Metric]
) -> Statistics:
    """Every figure of a strategy as a function of how often each image counts.

    Args:
        side: of the strategy.
        base: of the unaccelerated pipeline on the same prompts and noise.
        references: what else to compare with, by view: `real`, `self`.
        metrics: which figures.

    Raises:
        ScoreError: too few images, broken features, or a reference without what a metric reads.
    """
    against: dict[View, Side | None] = {**references, "base": base, "alone": None}
    return {
        metric.key(view): metric.prepare(side, against[view], view)
        for metric in metrics
        for view in metric.views
        if view in against
    }


def values(found: Statistics, count: int) -> dict[str, float]:
    """The figures over all images."""
    return {key: statistic(np.ones(count)) for key, statistic in found.items()}


def intervals(
    mine: Statistics, base: Statistics, metrics: Iterable[Metric], count: int
) -> dict[str, list[float]]:
    """95 % intervals, paired over prompts, as `[value, low, high]`.

    Of biased figures value and interval are what endless images would have.

    Returns:
        What compares with the unaccelerated images, and every biased figure, by its name; of what
        does not compare with them the difference to the unaccelerated pipeline, by its name and
        `_change`, unless `mine` is `base`.
    """
    found = {}
    for metric in metrics:
        for view in metric.views:
            key = metric.key(view)
            if key not in mine:
                continue
            if view == "base" or metric.biased:
                own = paired_bootstrap(mine[key], count, biased=metric.biased)
                found[key] = own.to_json()
            if view != "base" and mine is not base:
                change = _difference(mine[key], base[key])
                interval = paired_bootstrap(change, count, biased=metric.biased)
                found[f"{key}_change"] = interval.to_json()
    return found


def _difference(mine: Statistic, base: Statistic) -> Statistic:
    def value(weights: Weights) -> float:
        return mine(weights) - base(weights)

    return value


def score(sample: Sample, baseline: Sample, real: Side) -> dict[str, float]:
    """The figures that a search goes by, of samples of a bundled model.

    Args:
        sample: of the strategy.
        baseline: of the unaccelerated pipeline on the same prompts and noise.
        real: real images.

    Returns:
        `fd_real`, `kd_real` to real images and `fd_base`, `kd_base` to the unaccelerated
        pipeline's, `feature_error`, `psnr`, and `right_<kind>` where a judge knows the data.

    Raises:
        ScoreError: too few images, or broken features.
    """
    return values(_searched(sample, baseline, real), len(sample.images))


def score_intervals(sample: Sample, baseline: Sample, real: Side) -> dict[str, list[float]]:
    """The intervals of `score`; see `intervals`."""
    mine, base = _searched(sample, baseline, real), _searched(baseline, baseline, real)
    return intervals(mine, base, _metrics(sample), len(sample.images))


def _metrics(sample: Sample) -> list[Metric]:
    known = sample.side().known
    chosen = choose(SEARCH, bundled=True)
    return [m for m in chosen if m.network is None or m.network in known]


def _searched(sample: Sample, baseline: Sample, real: Side) -> Statistics:
    return statistics(sample.side(), baseline.side(), {"real": real}, _metrics(sample))
