"""Metrics of a search: names of their scores, and the score that shows a loss.

A search records the scores of its objectives and constraints, and others that cost nothing. Their
metrics say which networks see every image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluate.extraction import ExtractionSpec
from evaluate.metrics import GROUPS, METRICS, Metric, ReferenceKind, searched_metrics
from evaluate.networks import require_networks, why_missing
from evaluate.networks.weight_files import MissingWeightsError
from evaluate.verdicts import metric_for
from search.objectives.objectives import COST_METRICS
from strategies import StrategyError
from strategies.words import did_you_mean

# Default for models that the bundled network does not know: unbiased, so fair on few images.
DEFAULT_OBJECTIVES = ("kid_base", "latency_s")
SHORT = {"latency": "latency_s", "memory": "memory_bytes"}


@dataclass(frozen=True)
class MetricSet:
    """Metrics that a search records of every strategy.

    Attributes:
        metrics: metrics of quality.
        view: view of the reference: `real` or `self`.
        memory: whether peak memory is measured.
        quality: name of the first objective that is a score of quality, or None.
        lossless_metric: name of the score that shows whether quality is lost: a distance to the
            reference, or a score of the images alone. None if there are only errors against the
            unaccelerated images; by these every change is a loss.
        judged: names of the scores that decide whether a strategy has no loss, see
            `evaluate.verdicts`: one for every objective and constraint that shows a loss, and
            caption accuracies. Empty if `lossless_metric` is None.
    """

    metrics: tuple[Metric, ...]
    view: ReferenceKind
    memory: bool
    quality: str | None
    lossless_metric: str | None
    judged: tuple[str, ...]

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        limits: Sequence[str],
        subject: str | None,
        view: ReferenceKind,
        video: bool = False,
    ) -> MetricSet:
        """Metrics of objectives and constraints, by their full names.

        Args:
            names: objectives.
            limits: figures that have a limit.
            subject: subject of a bundled model, a value of `zoo.SUBJECTS`.
            view: view of the reference.
            video: whether more than one frame of each video is scored.

        Raises:
            StrategyError: a name is unknown; the error lists the known ones.
        """
        there = metrics_by_score(subject, view)
        for name in (*names, *limits):
            if name not in there and name not in (*COST_METRICS, "speedup"):
                every = sorted([*there, *COST_METRICS, "speedup"])
                raise StrategyError(
                    f"unknown objective or constraint {name!r}; this search records "
                    f"{', '.join(every)}{did_you_mean(name, every)}"
                )
        named = [there[name] for name in (*names, *limits) if name in there]
        free = searched_metrics(subject)
        free += [metric for metric in METRICS.values() if metric.video and video]
        metrics = tuple(dict.fromkeys([*named, *free]))
        quality = next((name for name in names if name in there), None)
        lossless_metric = next(filter(None, (_loss(metric, view) for metric in metrics)), None)
        own = [found for found in (_loss(metric, view) for metric in named) if found is not None]
        right = [m.key("alone") for m in metrics if m.name in GROUPS["accuracy"]]
        judged = (
            tuple(dict.fromkeys([*(own or [lossless_metric]), *right])) if lossless_metric else ()
        )
        memory = "memory_bytes" in (*names, *limits)
        return cls(metrics, view, memory, quality, lossless_metric, judged)

    @property
    def reading(self) -> ExtractionSpec:
        """Features that are read of every image."""
        return ExtractionSpec.of(self.metrics, self.memory)

    @property
    def keys(self) -> list[str]:
        """Names of all recorded scores of quality."""
        views = (self.view, "base", "alone")
        return [m.key(view) for m in self.metrics for view in m.views if view in views]

    @property
    def reported_scores(self) -> list[str]:
        """Names of the scores that a report gives for every strategy, as far as they are recorded.

        They are the distances to the unaccelerated images and to the reference, and the agreement
        with the prompt.
        """
        sets = [metric for metric in self.metrics if {"base", self.view} <= {*metric.views}]
        named = (one for one in sets if self.quality in {one.key(view) for view in one.views})
        distance = next(named, sets[0] if sets else None)
        names = [] if distance is None else [distance.key("base"), distance.key(self.view)]
        adherence = (*GROUPS["accuracy"], "clip-score")
        return [*names, *(m.key("alone") for m in self.metrics if m.name in adherence)]

    @property
    def network(self) -> str | None:
        """Network whose features the first objective of quality reads, if any."""
        if self.quality is None:
            return None
        metric = metric_for(self.quality)
        return metric.network if metric.compare is None else None

    @property
    def needs_reference(self) -> bool:
        """Whether any score compares with the reference."""
        return any(self.view in metric.views for metric in self.metrics)


def metrics_by_score(subject: str | None, view: ReferenceKind) -> dict[str, Metric]:
    """Metric of every score of quality that a model can have, by the score's name."""
    return {
        metric.key(one): metric
        for metric in METRICS.values()
        if metric.knows(subject)
        for one in metric.views
        if one in (view, "base", "alone")
    }


def full_name(name: str, subject: str | None, view: ReferenceKind) -> str:
    """Full name of a score: `fid` compares with the search's reference, `memory` is in bytes."""
    name = name.replace("-", "_")
    name = SHORT.get(name, name)
    qualified = f"{name}_{view}"
    return qualified if qualified in metrics_by_score(subject, view) else name


def _loss(metric: Metric, view: ReferenceKind) -> str | None:
    """Name of a metric's score by which a strategy can be better than the unaccelerated model."""
    for one in (view, "alone"):
        if one in metric.views:
            return metric.key(one)
    return None


def find_weights(metrics: Iterable[Metric], download: bool) -> None:
    """Check that the weights of every network are on disk, or download them.

    Raises:
        StrategyError: weights are missing; the error names file, place, checksum, and metrics that
            need none.
    """
    asked = [metric for metric in metrics if metric.network is not None]
    try:
        require_networks([metric.network for metric in asked if metric.network], download)
    except MissingWeightsError as error:
        names = [metric.name for metric in asked if why_missing([metric.network or ""])]
        free = [m.name for m in METRICS.values() if m.network is None and not m.video]
        raise StrategyError(
            f"{' and '.join(names)} need{'s' * (len(names) == 1)} the weights of a published "
            f"network, which are not on this machine; give --download to fetch them, or take an "
            f"objective that needs none: {' or '.join(free)}, such as --objective psnr "
            f"--objective latency. Without a connection, {error.places}"
        ) from None
