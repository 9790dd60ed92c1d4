"""The figures of a search: their names, the metrics that give them, and which one shows a loss.

A search records what its objectives and constraints name, and beside them what costs nothing. The
metrics that give these say which networks look at every image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evaluate.extraction import Reading
from evaluate.metrics import GROUPS, METRICS, SEARCH, Metric, View
from evaluate.networks import missing, require
from evaluate.networks.weight_files import MissingWeightsError
from evaluate.verdicts import metric_of
from search.objectives.objectives import COSTS
from strategies import StrategyError
from strategies.words import did_you_mean

# By default, of models that the bundled network does not know: unbiased, so honest on few images.
DEFAULT = ("kid_base", "latency_s")
SHORT = {"latency": "latency_s", "memory": "memory_bytes"}


@dataclass(frozen=True)
class Figures:
    """What a search measures of every strategy.

    Attributes:
        metrics: of quality.
        view: of the reference: `real` or `self`.
        memory: whether peak memory is measured.
        quality: the first objective that is a metric's, or None.
        yardstick: the figure that shows whether quality is lost: of a distance that to the
            reference, of a score itself; None where there are only errors against the
            unaccelerated images, by which every change is a loss.
        judged: the figures that decide whether a strategy has no loss, see `evaluate.verdicts`:
            the yardstick of every objective and constraint that has one, and caption accuracies;
            none where there is no yardstick.
    """

    metrics: tuple[Metric, ...]
    view: View
    memory: bool
    quality: str | None
    yardstick: str | None
    judged: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str], limits: Sequence[str], bundled: bool, view: View) -> Figures:
        """The figures of objectives and constraints, by their full names.

        Raises:
            StrategyError: a name that no evaluation records; lists those that there are.
        """
        there = figures(bundled, view)
        for name in (*names, *limits):
            if name not in there and name not in (*COSTS, "speedup"):
                every = sorted([*there, *COSTS, "speedup"])
                raise StrategyError(
                    f"objective or constraint {name!r} is no figure of this search; there are "
                    f"{', '.join(every)}{did_you_mean(name, every)}"
                )
        named = [there[name] for name in (*names, *limits) if name in there]
        free = [METRICS[name] for name in SEARCH if bundled or not METRICS[name].bundled]
        metrics = tuple(dict.fromkeys([*named, *free]))
        quality = next((name for name in names if name in there), None)
        yardstick = next(filter(None, (_loss(metric, view) for metric in metrics)), None)
        own = [found for found in (_loss(metric, view) for metric in named) if found is not None]
        right = [m.key("alone") for m in metrics if m.name in GROUPS["accuracy"]]
        judged = tuple(dict.fromkeys([*(own or [yardstick]), *right])) if yardstick else ()
        memory = "memory_bytes" in (*names, *limits)
        return cls(metrics, view, memory, quality, yardstick, judged)

    @property
    def reading(self) -> Reading:
        """What is taken of every image."""
        return Reading.of(self.metrics, self.memory)

    @property
    def keys(self) -> list[str]:
        """The names of all figures of quality that are measured."""
        views = (self.view, "base", "alone")
        return [m.key(view) for m in self.metrics for view in m.views if view in views]

    @property
    def told(self) -> list[str]:
        """What a report says of every strategy's images, as far as it is measured: how far they are
        from the unaccelerated ones and from the reference, and whether they show what is asked for.
        """
        sets = [metric for metric in self.metrics if {"base", self.view} <= {*metric.views}]
        named = (one for one in sets if self.quality in {one.key(view) for view in one.views})
        distance = next(named, sets[0] if sets else None)
        names = [] if distance is None else [distance.key("base"), distance.key(self.view)]
        adherence = (*GROUPS["accuracy"], "clip-score")
        return [*names, *(m.key("alone") for m in self.metrics if m.name in adherence)]

    @property
    def network(self) -> str | None:
        """The network whose features the first objective of quality reads, if any."""
        if self.quality is None:
            return None
        metric = metric_of(self.quality)
        return metric.network if metric.compare is None else None

    @property
    def needs_reference(self) -> bool:
        """Whether any figure is to the reference."""
        return any(self.view in metric.views for metric in self.metrics)


def figures(bundled: bool, view: View) -> dict[str, Metric]:
    """Every figure of quality that a model can be scored by, by its name."""
    return {
        metric.key(one): metric
        for metric in METRICS.values()
        if bundled or not metric.bundled
        for one in metric.views
        if one in (view, "base", "alone")
    }


def full(name: str, bundled: bool, view: View) -> str:
    """A figure's full name: `fid` is to the search's reference, `memory` in bytes."""
    name = name.replace("-", "_")
    name = SHORT.get(name, name)
    qualified = f"{name}_{view}"
    return qualified if qualified in figures(bundled, view) else name


def _loss(metric: Metric, view: View) -> str | None:
    """The figure of a metric by which an unaccelerated model could be beaten."""
    for one in (view, "alone"):
        if one in metric.views:
            return metric.key(one)
    return None


def find_weights(metrics: Iterable[Metric], download: bool) -> None:
    """See that the weights of every network are on disk, or fetch them.

    Raises:
        StrategyError: they are missing; names file, place, checksum and what needs none.
    """
    asked = [metric for metric in metrics if metric.network is not None]
    try:
        require([metric.network for metric in asked if metric.network], download)
    except MissingWeightsError as error:
        names = [metric.name for metric in asked if missing([metric.network or ""])]
        free = [m.name for m in METRICS.values() if m.network is None]
        raise StrategyError(
            f"{' and '.join(names)} need{'s' * (len(names) == 1)} a network: {error}. Without any "
            f"weights there are {' and '.join(free)}, such as --objective psnr --objective "
            "latency_s"
        ) from None
