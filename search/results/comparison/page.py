"""Comparison of runs as one page for a browser, which needs no network."""

from __future__ import annotations

import io
from pathlib import Path

from markupsafe import Markup
from matplotlib import pyplot as plt

from search.objectives import labels
from search.results.comparison import plot, tables
from search.results.comparison.fronts import RunComparison
from search.results.comparison.settings import differing
from search.results.plots.style import styled
from search.results.report.render import fill
from strategies.data_files.whole import write as write_file

FILE = "comparison.html"


def write(found: RunComparison, folder: Path) -> Path:
    """Write the page to a folder; returns its path."""
    path = folder / FILE
    write_file(render_comparison(found), path)
    return path


def render_comparison(found: RunComparison) -> str:
    """The page as text."""
    colours = {
        one.name: colour for one, colour in zip(found.fronts, plot.colours(found), strict=True)
    }
    return fill(
        "comparison.html",
        model=found.fronts[0].run.config.model.name,
        runs=tables.run_rows(found),
        columns=tables.RUN_COLUMNS,
        points=tables.point_rows(found),
        titles={name: labels.short(name) for name in found.objectives},
        notes=tables.reading_notes(found),
        differ=differing([one.run for one in found.fronts]),
        colours=colours,
        picture=Markup(_picture(found)),
    )


def _picture(found: RunComparison) -> str:
    """The plot as SVG that stands inside a page."""
    content = io.StringIO()
    with styled():
        figure = plot.comparison_figure(found)
        figure.savefig(content, format="svg")
        plt.close(figure)
    return content.getvalue().split("?>", 1)[-1].split("\n", 3)[-1]
