"""Dominance, hypervolume and the choice of points from a front. Objectives are minimised."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def nondominated(points: Points) -> list[int]:
    """Indices of the rows that no other row dominates; of equal rows the first.

    Args:
        points: `[n, objectives]`, finite.
    """
    if len(points) == 0:
        return []
    mask = moocore.is_nondominated(points, keep_weakly=False)
    return [int(i) for i in np.flatnonzero(mask)]


def hypervolume(points: Points, reference: Sequence[float]) -> float:
    """Dominated volume below `reference`, as a share of the box from the origin to it."""
    inside = points[(points < np.asarray(reference)).all(axis=1)] if len(points) else points
    if len(inside) == 0:
        return 0.0
    return float(moocore.hypervolume(inside, ref=list(reference)) / np.prod(reference))


def hypervolume_improvement(
    points: Points, front: Points, reference: Sequence[float]
) -> NDArray[np.float64]:
    """The volume that each point alone would add to what a front dominates below `reference`.

    Args:
        points: `[n, objectives]`.
        front: `[m, objectives]`, of which none dominates another.
    """
    worst = np.asarray(reference, dtype=float)
    inside = front[(front < worst).all(axis=1)]
    if len(worst) == 2:
        # Above each stretch of the first objective the front leaves free what is below a height.
        inside = inside[np.argsort(inside[:, 0])]
        begins = np.concatenate([[-np.inf], inside[:, 0]])
        ends = np.concatenate([inside[:, 0], worst[:1]])
        heights = np.concatenate([worst[1:], inside[:, 1]])
        widths = np.clip(ends - np.maximum(begins, points[:, :1]), 0, None)
        found: NDArray[np.float64] = (widths * np.clip(heights - points[:, 1:], 0, None)).sum(1)
        return found
    before = hypervolume(inside, reference)
    added = [hypervolume(np.vstack([inside, one]), reference) - before for one in points]
    return np.array(added) * float(np.prod(worst))


def select_subset(
    points: Points, reference: Sequence[float], count: int, begun: Sequence[int] = ()
) -> list[int]:
    """Up to `count` rows that together dominate as much as possible, chosen greedily.

    The first row dominates most, and every further one adds most to those before it.

    Args:
        points: points to choose from, `[n, objectives]`.
        reference: reference point.
        count: number of rows, at most.
        begun: rows that are chosen already.
    """
    chosen = list(begun)
    left = [row for row in nondominated(points) if row not in chosen]
    while left and len(chosen) < count:
        volumes = [hypervolume(points[[*chosen, index]], reference) for index in left]
        chosen.append(left.pop(int(np.argmax(volumes))))
    return chosen


def knee_index(points: Points) -> int:
    """The row farthest below the line between the ends of the front, both axes scaled to 1."""
    low, high = points.min(0), points.max(0)
    scaled = (points - low) / np.where(high > low, high - low, 1)
    return int(scaled.sum(1).argmin())
