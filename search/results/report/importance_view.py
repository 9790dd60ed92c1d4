"""Importance of calls on the page: a strip for each knob, time from left to right."""

from __future__ import annotations

from typing import Any

from search.objectives.labels import title
from search.results.report.heatmaps import IDLE, Heatmap, HeatmapCell, HeatmapRow, shade
from search.results.report.importance import FOLDS, KnobImportance, importance
from search.results.run import Run
from search.surrogate.gaussian_process import TREES
from search.surrogate.strategy_features import BINS
from search.surrogate.surrogate import MIN_EVALUATIONS, MIN_RANK_CORRELATION


def importance_view(run: Run) -> dict[str, Any] | None:
    """Heat map of importance and the text below it; None without an objective of quality."""
    found = importance(run)
    if found is None:
        return None
    calls = [row for row in found.rows if len(row.values) > 1]
    whole = [row for row in found.rows if len(row.values) == 1]
    highest = max((float(row.values.max()) for row in calls), default=0.0) or 1.0
    strips = [HeatmapRow(row.name, _cells(row, highest), end=f"{row.total:.2f}") for row in calls]
    legend = [HeatmapCell(shade(i / 4), f"{highest * i / 4:.2g}") for i in range(1, 5)]
    return {
        "map": Heatmap(
            "Loss of R\N{SUPERSCRIPT TWO} when a knob is shuffled there", strips, legend
        ),
        "whole": [(row.name, f"{row.total:.2f}") for row in whole],
        "quality": title(found.quality),
        "figure": found.quality,
        "evaluations": found.evaluations,
        "fewest": MIN_EVALUATIONS,
        "correlation": found.correlation,
        "trusted": found.trusted,
        "trust": MIN_RANK_CORRELATION,
        "folds": FOLDS,
        "trees": TREES,
        "bins": BINS,
        "images": max((e.images for e in run.study.evaluations if e.feasible), default=0),
    }


def _cells(row: KnobImportance, highest: float) -> list[HeatmapCell]:
    """Cells of every bin; values not above 0 do not matter."""
    found = []
    for index, number in enumerate(row.values.tolist()):
        when = f"{index / BINS:.0%} to {(index + 1) / BINS:.0%} of the generation"
        kind = shade(number / highest) if number > 0 else IDLE
        found.append(HeatmapCell(kind, f"{when}: {number:.3f}"))
    return found
