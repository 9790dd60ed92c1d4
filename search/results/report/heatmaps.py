"""Heat maps of calls: a strip of cells for each strategy, its calls from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import matplotlib as mpl
from matplotlib.colors import to_hex

from search.results.plots.schedules import COLOURS, differing_knobs, ordered, times, value_text
from search.results.report.entries import ReportEntry, solver_and_steps
from search.results.run import Run

LEVELS = 20  # Shades, 0 being the least; the page's style turns them round on a dark ground.
IDLE = "idle"  # The class of cells where a method does nothing.
WHOLE = 0.99  # Share of an unaccelerated call's time from which a call is shown as one.


@dataclass(frozen=True)
class HeatmapCell:
    """One call: the CSS class of its colour and its value in words."""

    shade: str
    words: str


@dataclass(frozen=True)
class HeatmapRow:
    """One row: of a strategy (`key`), or of whatever `label` says."""

    label: str
    cells: list[HeatmapCell]
    key: str = ""
    end: str = ""


@dataclass(frozen=True)
class Heatmap:
    """A heat map: its title, rows, and the cells of its legend."""

    title: str
    strips: list[HeatmapRow]
    legend: list[HeatmapCell] = field(default_factory=list)


def shade(share: float) -> str:
    """The class of a value between 0 and 1."""
    return f"s{round(LEVELS * min(1.0, max(0.0, share)))}"


def _saving(share: float) -> str:
    """The class of a call's share of the unaccelerated time.

    In all maps grey is a call as in the unaccelerated pipeline, and darker colours leave out more.
    """
    return IDLE if share > WHOLE else shade(1 - share)


def palette() -> list[str]:
    """The colour of every level on a light ground, as hex."""
    colours = mpl.colormaps[COLOURS]
    return [to_hex(colours(level / LEVELS)) for level in range(LEVELS + 1)]


def schedules(run: Run, rows: Sequence[ReportEntry]) -> list[Heatmap]:
    """The time of every call, and every knob that the strategies of the front set call by call."""
    front = [one for one in rows if one.on_front and one.point]
    strategies = [one.point.strategy for one in front if one.point]
    if not strategies:
        return []
    strips = [
        _strip(one, [HeatmapCell(_saving(x), f"call {i}: {x:.0%} of an unaccelerated call's time")
                     for i, x in enumerate(shares)])
        for one, shares in zip(front, times(run, strategies), strict=True)
    ]  # fmt: skip
    legend = [HeatmapCell(_saving(x), f"{x:.0%}") for x in (0, 0.25, 0.5, 0.75, 1)]
    found = [Heatmap("Time of a call, as a share of an unaccelerated one", strips, legend)]
    for series in differing_knobs(strategies):
        values = ordered([value for row in series.rows for value in row])
        acting = [value for value in values if value != series.neutral]
        steps = [0.15 + 0.85 * i / max(1, len(acting) - 1) for i in range(len(acting))]
        shades = {repr(v): shade(s) for v, s in zip(acting, steps, strict=True)}
        strips = [
            _strip(one, [HeatmapCell(shades.get(repr(v), IDLE), f"call {i}: {value_text(v)}")
                         for i, v in enumerate(row)])
            for one, row in zip(front, series.rows, strict=True)
        ]  # fmt: skip
        legend = [HeatmapCell(shades.get(repr(v), IDLE), value_text(v)) for v in values]
        found.append(Heatmap(series.name, strips, legend))
    return found


def _strip(one: ReportEntry, cells: list[HeatmapCell]) -> HeatmapRow:
    return HeatmapRow(f"{one.scores['speedup']:.1f}x {solver_and_steps(one)}", cells, one.key)
