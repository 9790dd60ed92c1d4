"""Chance that a strategy has no loss, by its distance to the unaccelerated images.

The settled finalists say up to which distance a strategy has no loss, and from which distance it
has one. Between the two the chance falls evenly with the logarithm of the distance. It orders what
is drawn next; no verdict follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

SURE = 0.95  # Chance up to the largest distance without a loss; 0 from the next one with a loss on.
Losses = Sequence[float]


def no_loss_chance(losses: Losses, passed: Sequence[Losses], lost: Sequence[Losses]) -> float:
    """Chance that a strategy has no loss; the smallest of all objectives.

    Args:
        losses: quality objectives of the strategy; lower is better.
        passed: quality objectives of strategies that have shown no loss.
        lost: quality objectives of strategies that have shown a loss.

    Returns:
        1 where nothing is settled on one of the two sides.
    """
    if not passed or not lost:
        return 1.0
    columns = zip(losses, zip(*passed, strict=True), zip(*lost, strict=True), strict=True)
    return min((_of_one(*column) for column in columns), default=1.0)


def _of_one(value: float, passed: Losses, lost: Losses) -> float:
    """Chance by one objective."""
    near = max(passed)
    # One that passed although it is further away says more than one that did not.
    beyond = [other for other in lost if other > near]
    if value <= near:
        return SURE
    if not beyond:
        return 0.5
    far = min(beyond)
    if value >= far:
        return 0.0
    if near > 0:
        value, near, far = log(value), log(near), log(far)
    return SURE * (far - value) / (far - near)
