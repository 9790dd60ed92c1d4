"""Plot of the front: quality against cost, with every baseline in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from search.objectives.labels import scale, title
from search.objectives.objectives import COST_METRICS, higher_is_better
from search.results.finalist import comparable_finalists
from search.results.plots.style import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILION,
    logarithmic_ticks,
    plain_ticks,
    save_plot,
    styled,
)
from search.results.run import FrontPoint, Run
from search.study.evaluation import INITIAL, strategy_kind
from strategies import Strategy

MARKERS = {
    "found": (BLUE, "o", 26),
    INITIAL: (PURPLE, "D", 22),
    "fewer steps": (GREEN, "^", 26),
    "uniform and published schedules": (VERMILION, "s", 22),
    "unaccelerated": ("black", "*", 80),
}


@dataclass(frozen=True)
class PlotPoint:
    """One point of the plot: its group and its scores."""

    group: str
    scores: dict[str, float]


def write(run: Run, folder: Path) -> list[Path]:
    """Write `pareto.png` and `pareto.svg`; returns their paths.

    On held-out prompts with the baselines if the search is finished, else the search's own front.
    """
    points = run.front()
    base = run.unaccelerated.scores if run.finals else run.base
    x, y = costs(run), qualities(run, base)
    with styled():
        figure, grid = plt.subplots(
            len(x),
            len(y),
            figsize=(min(3.5 * len(y), 10.5), 3.1 * len(x)),
            layout="constrained",
            squeeze=False,
        )
        for row, cost in zip(grid, x, strict=True):
            for axes, quality in zip(row, y, strict=True):
                on_front = quality in run.config.objectives
                _panel(axes, _marks(run, points, base), points, cost, quality, on_front)
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        figure.suptitle(plot_caption(run, points), fontsize=9)
        return save_plot(figure, folder, "pareto")


def costs(run: Run) -> list[str]:
    """The objectives that are costs, or latency."""
    return [name for name in run.config.objectives if name in COST_METRICS] or ["latency_s"]


def qualities(run: Run, base: Mapping[str, float]) -> list[str]:
    """Objectives that are no cost, and the score that shows whether images are good in
    themselves.
    """
    named = [name for name in run.config.objectives if name not in COST_METRICS]
    own = run.config.metric_set.lossless_metric
    return list(dict.fromkeys([*named, *([own] if own is not None and own in base else [])]))


def _marks(run: Run, points: Sequence[FrontPoint], base: dict[str, float]) -> list[PlotPoint]:
    marks = [PlotPoint("unaccelerated", base)]
    if not run.finals:
        for point in points:
            marks.append(PlotPoint(group(run, point.origin, point.strategy), dict(point.scores)))
    for final in comparable_finalists(run.finals):
        if final.role != "unaccelerated":
            marks.append(PlotPoint(group(run, final.origin, final.strategy), final.scores))
    return marks


def group(run: Run, origin: str, strategy: Strategy) -> str:
    """Key in `MARKERS` by which a strategy is plotted."""
    found = strategy_kind(origin, strategy, run.config.proposer)
    if found != "baseline":
        return found
    fewer = origin == "fewer-steps" or not strategy.methods  # Some of them leave guidance out.
    return "fewer steps" if fewer else "uniform and published schedules"


def plot_caption(run: Run, points: Sequence[FrontPoint]) -> str:
    """Caption of the plot: model, size, prompts and the unaccelerated setting."""
    model = run.config.model
    count = points[0].images if points else run.config.heldout_images
    split = "held-out prompts" if run.finals else f"prompts of the search, {run.state}"
    solver = model.scheduler.removesuffix("Scheduler")
    return (
        f"{model.name}, {model.height} x {model.width}, {count} {split}; "
        f"unaccelerated: {solver}, {model.steps} steps"
    )


def _panel(
    axes: Axes,
    marks: list[PlotPoint],
    front: Sequence[FrontPoint],
    cost: str,
    quality: str,
    on_front: bool,
) -> None:
    """One panel: a score against a cost. The front is a line only in its own objectives."""

    def place(scores: object) -> tuple[float, float]:
        assert isinstance(scores, dict)
        return scores[cost] * scale(cost), scores[quality] * scale(quality)

    axes.set_xscale("log")
    symmetric = has_zero(quality)
    if symmetric:
        axes.set_yscale("symlog", linthresh=smallest(mark.scores[quality] for mark in marks))
    if on_front and len(front) > 1 and len(front[0].objectives) == 2:
        line = [place(dict(point.scores)) for point in front]
        axes.plot(*zip(*line, strict=True), color=BLUE, linewidth=1, alpha=0.5, zorder=2)
    for name, (colour, marker, size) in MARKERS.items():
        rows = [place(mark.scores) for mark in marks if mark.group == name]
        if rows:
            xs, ys = zip(*rows, strict=True)
            axes.scatter(
                xs, ys, s=size, c=colour, marker=marker, label=name, zorder=3, linewidths=0,
                clip_on=False,
            )  # fmt: skip
    start = next(mark for mark in marks if mark.group == "unaccelerated")
    axes.axhline(place(start.scores)[1], color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    axes.set_xlabel(title(cost))
    axes.set_ylabel(title(quality))
    logarithmic_ticks(axes.xaxis)
    if symmetric:
        axes.set_ylim(bottom=0)
        plain_ticks(axes.yaxis)
    axes.grid(visible=True)
    axes.set_axisbelow(True)


def has_zero(quality: str) -> bool:
    """Whether a score is a distance to the unaccelerated images, which have none to themselves."""
    return quality.endswith("_base") and not higher_is_better(quality)


def smallest(values: Iterable[float]) -> float:
    """Value below which a logarithmic axis is linear, so that it holds the unaccelerated images'
    zero.
    """
    low = min((value for value in values if value > 0), default=1.0)
    return float(10 ** np.floor(np.log10(low)))
