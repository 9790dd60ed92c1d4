"""Plot of schedules: one row for each strategy of the front, its calls from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize

from search.results.plots.style import save_plot, styled
from search.results.run import FrontPoint, Run
from search.study.measurements import Measurements
from strategies import Strategy, StrategyError
from strategies.knobs import registered_methods

COLOURS = "cividis_r"  # Even in lightness, the same to colour-blind readers; dark is much.
NOTHING = "-"  # Value of a knob while a method does nothing.
IDLE = "#E4E4E4"  # Colour while a method does nothing.


@dataclass(frozen=True)
class KnobSeries:
    """A knob that is set call by call: its values `[strategy][call]`, and the neutral one."""

    name: str
    rows: list[list[Any]]
    neutral: Any


def write(run: Run, folder: Path) -> list[Path]:
    """Write `schedules.png` and `schedules.svg`; returns their paths.

    There is one panel for the time of every call, and one for each knob that the strategies of the
    front set call by call, grey if it does nothing. Calls are placed by their share of the
    generation, so that strategies of different numbers of calls can be compared.

    Raises:
        StrategyError: nothing has been scored yet, or nothing keeps the constraints.
    """
    points = run.front()
    if not points:
        raise StrategyError(f"{run.folder}: the front is empty: nothing keeps the constraints")
    panels = differing_knobs([point.strategy for point in points])
    with styled():
        height = 0.75 + 0.2 * len(points)
        figure, grid = plt.subplots(
            1 + len(panels),
            1,
            figsize=(7.0, 0.5 + height * (1 + len(panels))),
            layout="constrained",
            squeeze=False,
            sharex=True,
        )
        column = [row[0] for row in grid]
        _times(column[0], run, points)
        for axes, series in zip(column[1:], panels, strict=True):
            _knob(axes, points, series)
        column[-1].set_xlabel("share of the generation")
        return save_plot(figure, folder, "schedules")


def differing_knobs(strategies: Sequence[Strategy]) -> list[KnobSeries]:
    """Every knob that is set call by call and that differs between the strategies.

    Knobs that list calls, and acts by knobs of the whole generation, count too. A strategy that
    lacks the method has the neutral value.
    """
    found: list[KnobSeries] = []
    for method in sorted({name for one in strategies for name in one.methods}):
        kind = registered_methods()[method]
        for knob in sorted(kind.per_call):
            neutral = kind.neutral.get(knob, kind.model_fields[knob].default)
            rows = [
                list(getattr(one.methods[method], knob))
                if method in one.methods
                else [neutral] * one.calls
                for one in strategies
            ]
            if len({repr(value) for row in rows for value in row}) > 1:
                found.append(KnobSeries(f"{method}: {knob}", rows, neutral))
        found += _listed(strategies, method)
    return found


def _listed(strategies: Sequence[Strategy], method: str) -> list[KnobSeries]:
    """Series of knobs that list calls, and of acts by knobs of the whole generation."""
    kind, found = registered_methods()[method], list[KnobSeries]()
    alive = [one.canonical().methods.get(method) for one in strategies]
    for name in (*kind.call_list_knobs, *kind.shown_values):
        rows = []
        for one, knobs in zip(strategies, alive, strict=True):
            row: list[Any] = [NOTHING] * one.calls
            for call in range(one.calls if knobs is not None else 0):
                assert knobs is not None
                if knobs.at(call):
                    given = knobs.read(call) if name in kind.call_list_knobs else knobs.at(call)
                    row[call] = given.get(name, NOTHING)
            rows.append(row)
        if len({value for row in rows for value in row}) > 1:
            found.append(KnobSeries(f"{method}: {name}", rows, NOTHING))
    return found


def times(run: Run, strategies: Sequence[Strategy]) -> list[list[float]]:
    """Times of calls, `[strategy][call]`, as shares of an unaccelerated one's, at most 1.

    Where the time of a call depends on the images, it is the mean of the generation's calls.
    """
    measured = Measurements(run.study)
    table = measured.latency_table
    assert table is not None
    whole = table.kinds[""]
    found = []
    for one in strategies:
        if not one.is_adaptive:
            found.append([min(1.0, table.seconds(kind) / whole) for kind in one.kinds()])
            continue
        seconds, mean = measured.latency(one), 1.0
        if seconds is not None:
            around = table.fixed + one.calls * table.solver.get(one.solver_text, 0.0)
            mean = (seconds - around) / one.calls / whole
        found.append([min(1.0, max(0.0, mean))] * one.calls)
    return found


def _times(axes: Axes, run: Run, points: Sequence[FrontPoint]) -> None:
    rows = times(run, [point.strategy for point in points])
    colours = plt.get_cmap(COLOURS)
    norm = Normalize(0, 1)
    _bars(axes, points, [[colours(norm(value)) for value in row] for row in rows])
    axes.set_title("time of a call, as a share of an unaccelerated one", loc="left")
    _key(axes, colours, norm, [0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])


def _knob(axes: Axes, points: Sequence[FrontPoint], series: KnobSeries) -> None:
    values = ordered([value for row in series.rows for value in row])
    shades = iter(plt.get_cmap(COLOURS)(np.linspace(0.15, 1, len(values))))
    found = {repr(v): IDLE if v == series.neutral else tuple(next(shades)) for v in values}
    _bars(axes, points, [[found[repr(value)] for value in row] for row in series.rows])
    axes.set_title(series.name, loc="left")
    norm = BoundaryNorm(np.arange(len(values) + 1) - 0.5, len(values))
    names = [value_text(value) for value in values]
    _key(axes, ListedColormap(list(found.values())), norm, list(range(len(values))), names)


def ordered(values: list[Any]) -> list[Any]:
    """Distinct values, numbers ascending and others above them: the most work on top."""
    distinct = {repr(value): value for value in values}.values()
    numbers = [v for v in distinct if isinstance(v, int | float)]
    others = [v for v in distinct if not isinstance(v, int | float)]
    return sorted(numbers) + sorted(others, key=repr)


def value_text(value: Any) -> str:
    """Value of a knob as text."""
    if isinstance(value, tuple | list):
        return "/".join(map(value_text, value))
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else f"{value}"


def _bars(axes: Axes, points: Sequence[FrontPoint], rows: list[list[Any]]) -> None:
    for index, row in enumerate(rows):
        width = 1 / len(row)
        cells = [(call * width, width) for call in range(len(row))]
        axes.broken_barh(
            cells, (index - 0.41, 0.82), facecolors=row, edgecolor="white", linewidth=0.4
        )
    axes.set_yticks(range(len(points)), [label(point) for point in points])
    axes.set_ylim(len(points) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)


def label(point: FrontPoint) -> str:
    """Speedup, and the solver with its steps."""
    return f"{point.scores['speedup']:.1f}x  {point.strategy.short_solver} {point.strategy.steps}"


def _key(
    axes: Axes, colours: Colormap, norm: Normalize, places: Sequence[float], names: Sequence[str]
) -> None:
    bar = axes.figure.colorbar(
        ScalarMappable(norm, colours), ax=axes, pad=0.01, fraction=0.03, aspect=12
    )
    bar.set_ticks(list(places), labels=list(names))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    bar.minorticks_off()
