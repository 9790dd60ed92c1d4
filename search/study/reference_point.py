"""The worst point that counts: hypervolumes, finalists and proposals are held against it.

Some figures have a scale before the search begins, such as a distance by what it is between the
unaccelerated images and the reference. Of the others, as of an error in units of its own, nobody
knows beforehand what is much: their worst is what the first evaluations measure. It follows from
the study alone, so that a resumed search has the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import numpy as np

from search.study.evaluation import Evaluation

FIRST = 30  # Evaluations, by the order of their proposals: after them the point stands.
SHARE = 0.9  # Of their losses; those above are too far off to matter.
MARGIN = 1.1  # A point must lie below the worst one to count.


def worst(
    known: Sequence[float], unscaled: Sequence[bool], evaluations: Iterable[Evaluation]
) -> tuple[float, ...]:
    """The worst point that counts.

    Args:
        known: by objective, what is known of it before the search, 0 where that is nothing.
        unscaled: by objective, whether losses may well lie beyond that.
        evaluations: of the search so far.
    """
    if not any(unscaled):
        return tuple(known)
    good = (one for one in evaluations if one.ok)
    first = heapq.nsmallest(FIRST, good, key=lambda one: (one.number, one.images))
    return tuple(
        _of(value, [one.objectives[index] for one in first]) if unscaled[index] else value
        for index, value in enumerate(known)
    )


def _of(known: float, losses: Sequence[float]) -> float:
    """The worst of one objective; every search has one above nothing."""
    high = float(np.quantile(losses, SHARE, method="nearest")) if losses else 0.0
    if high > known:
        return MARGIN * high
    if known > 0:
        return known
    # Nothing was lost: the size of what was gained, whatever its unit.
    return max((abs(one) for one in losses), default=0.0) or 1.0
