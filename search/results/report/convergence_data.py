"""Convergence as data: hypervolume after each evaluation, of everything and of the baselines
alone.
"""

from __future__ import annotations

from typing import Any

from search.results.plots.convergence import Curve, curves
from search.results.run import Run


def growth(run: Run) -> dict[str, Any] | None:
    """Both curves up to the end of the search; None if nothing has been scored."""
    found = curves(run)
    everything = found.everything
    if not everything.volumes:
        return None
    end = everything.evaluations[-1], everything.seconds[-1]
    return {
        "search": _curve(everything, end),
        "baselines": _curve(found.baselines, end),
        "initial_end": found.initial_end,
    }


def _curve(curve: Curve, end: tuple[int, float]) -> dict[str, Any]:
    if not curve.volumes:
        return {"evaluations": [], "seconds": [], "volumes": []}
    return {
        "evaluations": [*curve.evaluations, end[0]],
        "seconds": [*curve.seconds, end[1]],
        "volumes": [*curve.volumes, curve.volumes[-1]],
    }
