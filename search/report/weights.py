"""The importance of calls as the page shows it: a strip for each knob, time from left to right."""

from __future__ import annotations

from typing import Any

from search.description import BINS
from search.report.importance import FOLDS, importance
from search.report.strips import IDLE, Cell, Map, Strip, shade
from search.runs import Run
from search.surrogate import FEWEST, TREES, TRUST
from search.titles import title


def shown(run: Run) -> dict[str, Any] | None:
    """The heat map of importance and what is said under it; None where nothing is of quality."""
    found = importance(run)
    if found is None:
        return None
    highest = max((float(row.values.max()) for row in found.rows), default=0.0) or 1.0
    bins = BINS
    maps = []
    for row in found.rows:
        times = len(row.values) > 1
        cells = [
            Cell(
                shade(number / highest) if number > 0 else IDLE,
                f"{i / bins:.0%} to {(i + 1) / bins:.0%} of the generation: {number:.3f}"
                if times else f"whole generation: {number:.3f}",
            )
            for i, number in enumerate(row.values.tolist())
        ]  # fmt: skip
        maps.append(Strip(row.name, cells, end=f"{row.total:.2f}"))
    return {
        "map": Map("Loss of R\N{SUPERSCRIPT TWO} when shuffled", maps),
        "quality": title(found.quality),
        "figure": found.quality,
        "evaluations": found.evaluations,
        "fewest": FEWEST,
        "correlation": found.correlation,
        "trusted": found.trusted,
        "trust": TRUST,
        "folds": FOLDS,
        "trees": TREES,
        "bins": bins,
        "images": max((e.images for e in run.study.evaluations if e.feasible), default=0),
    }
