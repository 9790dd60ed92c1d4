"""The one gate: figures and images pass it before anything is recorded, ranked or exported.

A figure that is not finite, an image of one colour that the unaccelerated model draws otherwise,
and an image of another size make a candidate infeasible, with the reason. Libraries that rank put
such a candidate alone on the front, so none of them sees it. Where it is the unaccelerated model
that does this, nothing can be compared with it, and the search stops.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evaluate.extraction import Sample
from evaluate.images.appearance import flat, lost, resized
from evaluate.scoring import Scoring
from evaluate.statistics.gaussian import ScoreError
from search.study.evaluation import Evaluation
from strategies import StrategyError

USUAL = (
    "the usual reasons are a VAE in half precision (give --dtype bfloat16 or float32) and a safety "
    "checker that blanks images (take it out of the pipeline)"
)
FLAT = 0.25  # Share of unaccelerated images of one colour, and at least two, that stops a search.


def unsound(figures: Mapping[str, Any]) -> str:
    """Which figure is not finite, in words; empty where all are.

    Args:
        figures: by name a number, or several of one figure.
    """
    for name, value in figures.items():
        numbers = value if isinstance(value, Iterable) else (value,)
        broken = [float(number) for number in numbers if not math.isfinite(number)]
        if broken:
            return f"{name} is {broken[0]} and not a finite number"
    return ""


def finite(figures: Mapping[str, Any]) -> None:
    """See that all figures are finite.

    Raises:
        ScoreError: one is not; names it.
    """
    reason = unsound(figures)
    if reason:
        raise ScoreError(reason)


def images(sample: Sample, base: Sample) -> None:
    """See that no image of a sample is lost.

    Raises:
        ScoreError: one is of another size than the unaccelerated image, or of one colour where that
            is not.
    """
    if sample.looks is None or base.looks is None:
        return
    mine, theirs = sample.looks, base.looks[: sample.count]
    other = np.flatnonzero(resized(mine, theirs))
    if len(other):
        sizes = [f"{row[other[0], 0]}x{row[other[0], 1]}" for row in (mine, theirs)]
        raise ScoreError(f"images are {sizes[0]}, the unaccelerated ones {sizes[1]}")
    blank = np.flatnonzero(lost(mine, theirs))
    if len(blank):
        raise ScoreError(
            f"{len(blank)} of {sample.count} images are of one colour ({_colour(mine[blank[0]])}) "
            f"where the unaccelerated ones are not (the first: prompt {blank[0] + 1})"
        )


def _colour(row: Any) -> str:
    levels = [int(level) for level in row[3:]]
    names = {0: "black", 255: "white"}
    return names.get(levels[0], "") * (len(set(levels)) == 1) or f"rgb{tuple(levels)}"


def scores(scoring: Scoring, sample: Sample, base: Sample) -> dict[str, float]:
    """The figures of a candidate's sample, all finite, of images none of which is lost.

    Raises:
        ScoreError: it cannot be scored; says why.
    """
    images(sample, base)
    found = scoring.score(sample, base)
    finite(found)
    return found


def intervals(scoring: Scoring, sample: Sample, base: Sample) -> dict[str, list[float]]:
    """The 95 % intervals of a finalist's figures, all finite.

    Raises:
        ScoreError: one is not; names it.
    """
    found = scoring.intervals(sample, base)
    finite({f"the 95 % interval of {name}": values for name, values in found.items()})
    return found


def unaccelerated_images(base: Sample) -> None:
    """See that the unaccelerated model draws pictures. A few plain ones may be what was asked for.

    Raises:
        StrategyError: a share `FLAT` of its images, at least two, are of one colour.
    """
    if base.looks is None:
        return
    blank = np.flatnonzero(flat(base.looks))
    if len(blank) >= max(2.0, FLAT * base.count):
        raise StrategyError(
            f"{len(blank)} of {base.count} images of the unaccelerated model are of one colour, "
            f"the first {_colour(base.looks[blank[0]])}; {USUAL}"
        )


def unaccelerated_scores(scoring: Scoring, base: Sample) -> dict[str, float]:
    """The figures of the unaccelerated model.

    Raises:
        StrategyError: they are not finite, or the images cannot be scored.
    """
    try:
        found = scoring.score(base, base)
        finite(found)
    except ScoreError as error:
        raise StrategyError(f"the unaccelerated model cannot be scored: {error}; {USUAL}") from None
    return found


def unaccelerated_chance(scoring: Scoring, base: Sample) -> dict[str, float]:
    """What chance does to distances to a reference, see `Metric.chance`.

    Raises:
        StrategyError: as `unaccelerated_scores`.
    """
    try:
        found = scoring.chance(base)
        finite(found)
    except ScoreError as error:
        raise StrategyError(f"the unaccelerated model cannot be scored: {error}; {USUAL}") from None
    return found


def evaluation(one: Evaluation) -> Evaluation:
    """The evaluation itself, or an infeasible one where a figure of it is not finite."""
    resamples = {f"resample {i + 1}": row for i, row in enumerate(one.draws)}
    losses = {"an objective": one.objectives, "the violation": one.violation}
    reason = unsound({**one.scores, **losses, **resamples})
    if not reason:
        return one
    error = one.error or reason
    return replace(one, scores={}, error=error, objectives=(), violation=0.0, draws=())


def finalist(noted: dict[str, Any]) -> dict[str, Any]:
    """What is noted of a finalist, or its error where a figure of it is not finite."""
    intervals = {f"the 95 % interval of {k}": v for k, v in noted.get("intervals", {}).items()}
    reason = unsound({**noted.get("scores", {}), **intervals})
    return {"error": reason} if reason else noted
