"""Reference point: the worst point that counts for hypervolumes, finalists and proposals.

Some objectives have a scale before the search begins. A distance, for example, is compared with
the distance of the unaccelerated images to the reference. Others, such as an error in a unit of
its own, have none. Their worst value is measured in the first evaluations. It follows from the
study alone, so a resumed search has the same.
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
    """Reference point of the search so far.

    Args:
        known: worst loss of each objective that is known before the search; 0 if none is.
        unscaled: whether losses of each objective may lie beyond that.
        evaluations: evaluations of the search so far.
    """
    if not any(unscaled):
        return tuple(known)
    good = (one for one in evaluations if one.succeeded)
    first = heapq.nsmallest(FIRST, good, key=lambda one: (one.number, one.images))
    return tuple(
        _of(value, [one.objectives[index] for one in first]) if unscaled[index] else value
        for index, value in enumerate(known)
    )


def _of(known: float, losses: Sequence[float]) -> float:
    """Worst loss of one objective, above 0."""
    high = float(np.quantile(losses, SHARE, method="nearest")) if losses else 0.0
    if high > known:
        return MARGIN * high
    if known > 0:
        return known
    # Nothing was lost: the size of what was gained, whatever its unit.
    return max((abs(one) for one in losses), default=0.0) or 1.0
