"""Finalists that no other beats beyond doubt on the same prompts."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from search.objectives.objectives import Objectives
from search.proposers.successive_halving import DOMINANCE_CONFIDENCE

Losses = Mapping[str, list[float]]  # By objective, on resamples that are the same for all.
Row = tuple[Mapping[str, float], Losses]  # All figures of a finalist, and its losses.


def unbeaten(objectives: Objectives, rows: Mapping[str, Row]) -> list[str]:
    """Those of some finalists that no other of them beats.

    Args:
        objectives: objectives and constraints.
        rows: scores and losses by name.
    """
    return [
        name
        for name, row in rows.items()
        if not any(_beats(objectives, other, row) for key, other in rows.items() if key != name)
    ]


def _beats(objectives: Objectives, one: Row, other: Row) -> bool:
    """Whether a finalist is better than another beyond doubt.

    In what is not resampled (latency, multiply-accumulates) it must be at least as good; in every
    resampled loss, lower in a share `rungs.DOUBT` of the paired resamples.
    """
    (mine, my_draws), (theirs, their_draws) = one, other
    if not my_draws or objectives.violation(mine) > 0:
        return False
    for name in objectives.names:
        pair = my_draws.get(name), their_draws.get(name)
        if pair[0] and pair[1]:
            if fmean(a < b for a, b in zip(pair[0], pair[1], strict=True)) < DOMINANCE_CONFIDENCE:
                return False
        elif objectives.loss(name, mine[name]) > objectives.loss(name, theirs[name]):
            return False
    return True
