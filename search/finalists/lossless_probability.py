"""Probability that a strategy passes as one without a loss on a larger set of prompts.

It orders what is drawn next and settles who stops; no verdict follows from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scipy.special import ndtr

from evaluate.statistics.bounded import Z
from evaluate.verdicts import fewest, judge_changes, metric_for

MIN_CHANCE = 0.05  # Chance below which a strategy is not followed further.


def images_to_pass(margins: Mapping[str, float | None]) -> float:
    """Images without which no strategy passes; infinitely many where a figure has no margin."""
    if not margins or None in margins.values():
        return math.inf
    return max(fewest(metric_for(name), margin) for name, margin in margins.items() if margin)


def pass_probability(
    changes: Mapping[str, Sequence[float]],
    margins: Mapping[str, float | None],
    images: int,
    full: int,
) -> float:
    """The chance that all figures pass on the full set; that of the worst one.

    Args:
        changes: 95 % intervals of changes on the images so far, see
            `evaluate.verdicts.judge_changes`.
        margins: acceptance margins of the metrics that decide.
        images: so far.
        full: number of images of the full set.
    """
    if judge_changes(changes, margins, images).answer == "no":
        return 0.0
    found = 1.0
    for name, margin in margins.items():
        change = changes.get(name)
        if margin is None or change is None or not all(map(math.isfinite, change)):
            return 0.0
        found = min(found, _passes(name, change, margin, images / full))
    return found


def _passes(name: str, change: Sequence[float], margin: float, share: float) -> float:
    metric = metric_for(name)
    value, low, high = change
    loss, worst = (-value, -low) if metric.better == "higher" else (value, high)
    half = max(worst - loss, 1e-12)
    # Where no image has changed the end of a score interval nears the mean like 1 / n.
    unchanged = metric.bounds is not None and value == 0 and low == -high
    later = half * (share if unchanged else math.sqrt(share))
    apart = half / Z * math.sqrt(max(0.0, 1 - share))
    if apart == 0:
        return float(loss + later <= margin)
    return float(ndtr((margin - loss - later) / apart))
