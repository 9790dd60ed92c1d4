"""Plot of `equal_latency`: quality against latency, a search's front and its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from search.results.plots.style import (
    BLUE,
    GREEN,
    ORANGE,
    VERMILION,
    logarithmic_ticks,
    plain_ticks,
    styled,
)

# Colour-blind readers have the shapes as well.
MARKERS = {
    "front": (BLUE, "o", 24, "found by the search"),
    "fewer steps": (GREEN, "^", 22, "fewer steps, DDIM and DPM++"),
    "grid": (VERMILION, "s", 18, "uniform grid"),
    "preset": (ORANGE, "D", 18, "published presets"),
    "unaccelerated": ("black", "*", 80, "unaccelerated"),
}
PANELS = {"fd_base": "FD to the unaccelerated images", "fd_real": "FD to real images"}


def on_front(name: str, row: Mapping[str, Any]) -> bool:
    """Whether a strategy, by whatever name, is on the front."""
    return any(one.startswith("front ") for one in (name, *row["also"]))


def plotted(document: Mapping[str, Any], model: str, path: Path) -> None:
    """Write the picture."""
    with styled():
        figure, grid = plt.subplots(1, len(PANELS), figsize=(7.0, 3.3), layout="constrained")
        for axes, (name, title) in zip(grid, PANELS.items(), strict=True):
            panel(axes, document["rows"], name, title)
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        setting, share = document["setting"], document["shares"]["all"]
        dominated = (share["share"]["fd_base"] or 0) * 100
        count = share["baselines"] - share["on_front"]
        figure.suptitle(
            f"{model}, {setting['images']} held-out prompts\nThe exported front (line) dominates "
            f"{dominated:.0f} % of the other {count} baselines, by latency and FD to unaccelerated",
            fontsize=8,
        )
        figure.savefig(path)
        plt.close(figure)


def panel(axes: Axes, rows: Mapping[str, Mapping[str, Any]], figure: str, title: str) -> None:
    """One figure of quality against latency."""
    points = {
        group: sorted(
            (row["seconds"] * 1e3, row[figure]) for row in rows.values() if row["group"] == group
        )
        for group in MARKERS
    }
    axes.set_xscale("log")
    if figure.endswith("_base"):
        others = [marks for group, marks in points.items() if group != "unaccelerated"]
        least = min((y for marks in others for _, y in marks if y > 0), default=1.0)
        axes.set_yscale("symlog", linthresh=float(10 ** np.floor(np.log10(least))))
        line = sorted((r["seconds"] * 1e3, r[figure]) for n, r in rows.items() if on_front(n, r))
        if line:
            axes.plot(*zip(*line, strict=True), color=BLUE, linewidth=1, alpha=0.5)
    for group, (colour, marker, size, label) in MARKERS.items():
        if points[group]:
            xs, ys = zip(*points[group], strict=True)
            axes.scatter(
                xs, ys, s=size, c=colour, marker=marker, label=label, zorder=3, linewidths=0,
                clip_on=False,
            )  # fmt: skip
    axes.set_xlabel("latency of one image, ms")
    axes.set_ylabel(title)
    logarithmic_ticks(axes.xaxis)
    if figure.endswith("_base"):
        axes.set_ylim(bottom=0)
        plain_ticks(axes.yaxis)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
