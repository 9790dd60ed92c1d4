"""Plot of the fronts of several runs over each other."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from search.objectives.labels import scale
from search.objectives.objectives import COST_METRICS
from search.results.comparison.fronts import LATENCY, RunComparison, RunFront
from search.results.plots.pareto import has_zero, smallest
from search.results.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    logarithmic_ticks,
    plain_ticks,
    save_plot,
    styled,
)

NAME = "comparison"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, GREY)
SHAPES = ("o", "s", "^", "D", "v", "P")


def write(found: RunComparison, folder: Path) -> list[Path]:
    """Write `comparison.png` and `comparison.svg`; returns their paths."""
    with styled():
        return save_plot(comparison_figure(found), folder, NAME)


def colours(found: RunComparison) -> list[str]:
    """Colour of each run."""
    return [colour for colour, _ in zip(cycle(COLOURS), found.fronts, strict=False)]


def comparison_figure(found: RunComparison) -> Figure:
    """The figure: a panel for each pair of a cost and a score of quality."""
    costs = [name for name in found.objectives if name in COST_METRICS] or [LATENCY]
    qualities = [name for name in found.objectives if name not in COST_METRICS]
    figure, grid = plt.subplots(
        len(costs),
        len(qualities),
        figsize=(min(4.2 * len(qualities), 10.5), 3.4 * len(costs)),
        layout="constrained",
        squeeze=False,
    )
    for row, cost in zip(grid, costs, strict=True):
        for axes, quality in zip(row, qualities, strict=True):
            _panel(axes, found, cost, quality)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)))
    return figure


def _panel(axes: Axes, found: RunComparison, cost: str, quality: str) -> None:
    relative = cost == LATENCY and found.relative
    unit = 1.0 if relative else scale(cost)

    def place(one: RunFront) -> tuple[list[float], list[float]]:
        across = [unit * found.shown(one, point, cost) for point in one.points]
        return across, [point.scores[quality] * scale(quality) for point in one.points]

    axes.set_xscale("log")
    symmetric = has_zero(quality)
    if symmetric:
        values = (p.scores[quality] for one in found.fronts for p in one.points)
        axes.set_yscale("symlog", linthresh=smallest(values))
    line = len(found.objectives) == 2
    for one, colour, shape in zip(found.fronts, colours(found), cycle(SHAPES), strict=False):
        x, y = place(one)
        if line:
            axes.plot(x, y, color=colour, linewidth=1, alpha=0.5, zorder=2)
        axes.scatter(x, y, s=26, c=colour, marker=shape, label=one.name, zorder=3, linewidths=0)
    axes.set_xlabel(found.title(cost))
    axes.set_ylabel(found.title(quality))
    logarithmic_ticks(axes.xaxis)
    if symmetric:
        axes.set_ylim(bottom=0)
        plain_ticks(axes.yaxis)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
