"""The front as data for plotly: the panels of `search.results.plots.pareto`."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from search.objectives import labels as titles
from search.results.plots import pareto
from search.results.report.entries import (
    PLAIN,
    ReportEntry,
    behaviour_words,
    headline,
    interval_words,
    level,
)
from search.results.run import Run

SYMBOLS = {"o": "circle", "^": "triangle-up", "s": "square", "D": "diamond", "*": "star"}
WIDE = 5.0  # An axis over more than such a factor is marked at 1, 2 and 5 of each decade.
Place = Callable[[float], float]
LINE = 48  # Characters of a line in a hover, at most; a telephone has room for them.
INDENT = "\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}"  # Indent of continued lines.


def panels(run: Run, rows: Sequence[ReportEntry]) -> list[dict[str, Any]]:
    """Every panel: its points by group, the line through the front, and its axes.

    Coordinates are of linear axes: logarithmic values are given as their logarithm, with ticks.
    """
    base = rows[0].scores
    return [
        _panel(run, rows, cost, quality)
        for cost in pareto.costs(run)
        for quality in pareto.qualities(run, base)
    ]


def groups() -> list[dict[str, str]]:
    """Groups of points with their shapes."""
    return [
        {"name": name, "symbol": SYMBOLS[marker]} for name, (_, marker, _) in pareto.MARKERS.items()
    ]


def _panel(run: Run, rows: Sequence[ReportEntry], cost: str, quality: str) -> dict[str, Any]:
    costs = [one.scores[cost] * titles.scale(cost) for one in rows]
    values = [one.scores[quality] * titles.scale(quality) for one in rows]
    across, x = logarithmic_axis(costs)
    if pareto.has_zero(quality):
        others = [v for v, one in zip(values, rows, strict=True) if one.key != PLAIN]
        up, y = symmetric(values, pareto.smallest(others))
    else:
        up, y = float, {}
    names = [*pareto.costs(run), *pareto.qualities(run, rows[0].scores)]
    points = [
        {"key": one.key, "group": one.group, "x": across(c), "y": up(v), "text": hover(one, names)}
        for one, c, v in zip(rows, costs, values, strict=True)
    ]
    line = [point for point, one in zip(points, rows, strict=True) if one.on_front]
    drawn = quality in run.config.objectives and len(run.config.objectives) == 2
    return {
        "x": {"title": titles.title(cost), **x},
        "y": {"title": titles.title(quality), **y},
        "points": points,
        "line": [[point["x"], point["y"]] for point in line] if drawn else [],
        "level": points[0]["y"],
    }


def logarithmic_axis(values: Iterable[float]) -> tuple[Place, dict[str, Any]]:
    """Logarithmic axis over positive values: function from a value to its position, and the
    ticks.
    """
    rows = [value for value in values if value > 0]
    low, high = min(rows), max(rows)
    marks = _marks(low / 1.1, high * 1.1, high > WIDE * low)
    place = math.log10
    return place, {"ticks": [place(mark) for mark in marks], "labels": [f"{m:g}" for m in marks]}


def symmetric(values: Iterable[float], linear: float) -> tuple[Place, dict[str, Any]]:
    """Axis that is linear from 0 to `linear` and logarithmic above, with ticks."""

    def place(value: float) -> float:
        return value / linear if value <= linear else 1 + math.log10(value / linear)

    high = max([linear, *values])
    marks = [0.0, *_marks(linear, high * 1.1, high > WIDE * linear)]
    if len(marks) > 10:
        marks = [0.0, *(mark for mark in marks if math.log10(mark or 1).is_integer() and mark)]
    return place, {"ticks": [place(mark) for mark in marks], "labels": [f"{m:g}" for m in marks]}


def _marks(low: float, high: float, wide: bool) -> list[float]:
    steps = (1.0, 2.0, 5.0) if wide else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [float(np.format_float_scientific(s * 10.0**d, 3)) for d in decades for s in steps]
    return [mark for mark in marks if low <= mark <= high]


def hover(one: ReportEntry, names: Sequence[str]) -> str:
    """Text over a point, in plotly's HTML: its behaviour and some scores."""
    lines = [f"<b>{escape(headline(one))}</b>"]
    for text in (
        *behaviour_words(one),
        *(f"{titles.title(name)}: {_value(one, name)}" for name in names),
    ):
        lines += map(escape, textwrap.wrap(text, LINE, subsequent_indent=INDENT))
    return "<br>".join(lines)


def _value(one: ReportEntry, name: str) -> str:
    text = titles.score_text(name, one.scores[name])
    intervals = one.point.intervals if one.point else {}
    change = intervals.get(f"{name}_change")
    if change is not None:
        return f"{text}, change {interval_words(name, change, signed=True)}"
    if name in intervals:
        return f"{text}, {level(name)} {interval_words(name, intervals[name])}"
    return text
