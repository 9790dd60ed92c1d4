"""Worth of methods: the share of the front that uses each, and the cost of taking it out."""

from __future__ import annotations

from typing import Any

from search.objectives import labels as titles
from search.results.removals import Removal, removals
from search.results.report.entries import interval_words
from search.results.run import Run
from search.study.measurements import Measurements
from strategies import registered_methods


def uses(run: Run) -> list[dict[str, Any]]:
    """Use of each method of the run's space, and of every other one on the front.

    Use is the number of strategies of the front in which it acts, and the share of their calls.
    """
    strategies = [point.strategy.canonical() for point in run.front()]
    there = _searched(run) | {name for one in strategies for name in one.methods}
    found = []
    for name in (name for name in registered_methods() if name in there):
        using = [one for one in strategies if name in one.methods]
        shares = [
            sum(bool(one.methods[name].at(call)) for call in range(one.calls)) / one.calls
            for one in using
        ]
        found.append(
            {
                "name": name,
                "strategies": len(using),
                "of": len(strategies),
                "calls": sum(shares) / len(shares) if shares else None,
            }
        )
    return sorted(found, key=lambda row: -row["strategies"])


def _searched(run: Run) -> set[str]:
    space = run.config.space
    acts = [row for rows in (space.get("shared") or {}).values() for row in rows]
    names = [*(space.get("knobs") or {}), *(name for row in acts for name in row)]
    return {str(name).partition(".")[0] for name in names}


def taken_out(run: Run) -> list[dict[str, Any]]:
    """Rows of the knee and of the strategy without a loss, complete and without each method.

    There are none before the final scoring.
    """
    if not run.finals:
        return []
    latency = Measurements(run.study).latency
    base, rows, whole = None, list[dict[str, Any]](), ""
    for one in removals(run):
        if one.whole.digest != whole:
            whole, base = one.whole.digest, latency(one.whole)
            name = " and ".join(one.labels).replace("-", " ")
            rows.append(
                {"name": name, "slower": "", "cells": _cells(run, one.whole_scores, {}, "")}
            )
        left = latency(one.left)
        slower = "" if base is None or left is None else f"{left / base:.2f}x"
        rows.append(
            {
                "name": f"without {one.method}",
                "slower": slower,
                "cells": _cells(run, one.scores, one.intervals, one.error or "not scored"),
            }
        )
    return rows


def quality_scores(run: Run) -> list[str]:
    """Scores of quality that rows have."""
    return [name for name in run.config.objectives if name not in titles.COSTS]


def _cells(
    run: Run, scores: dict[str, float], intervals: dict[str, list[float]], absent: str
) -> list[dict[str, str]]:
    cells = []
    for name in quality_scores(run):
        change = intervals.get(f"{name}_change")
        cells.append(
            {
                "text": titles.score_text(name, scores[name]) if name in scores else absent,
                "more": f"change {interval_words(name, change, signed=True)}" if change else "",
            }
        )
    return cells


def ablation_lines(found: list[Removal]) -> str:
    """Progress of the ablation, in words."""
    drawn = sum(one.drawn for one in found)
    left = len(found) - drawn - sum(bool(one.error) for one in found)
    more = f"; there was no room for {left}" if left else ""
    return f"{drawn} of {len(found)} strategies without one of their methods are scored{more}"
