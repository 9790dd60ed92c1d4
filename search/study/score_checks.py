"""Checks that all scores and images pass before anything is recorded, ranked or exported.

A candidate is infeasible if a score is not finite, if an image has one colour where the
unaccelerated one has several, or if an image has another size. Without the check, ranking would
put such a candidate alone on the front. If the unaccelerated model itself fails a check, nothing
can be compared with it, and the search stops.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evaluate.extraction import ExtractedFeatures
from evaluate.images.appearance import is_flat, is_resized, lost
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
    """Message about the first value that is not finite; empty if all are finite.

    Args:
        figures: a number, or a sequence of numbers, by name.
    """
    for name, value in figures.items():
        numbers = value if isinstance(value, Iterable) else (value,)
        broken = [float(number) for number in numbers if not math.isfinite(number)]
        if broken:
            return f"{name} is {broken[0]} and not a finite number"
    return ""


def check_finite(figures: Mapping[str, Any]) -> None:
    """Check that all values are finite.

    Raises:
        ScoreError: a value is not finite; the error names it.
    """
    reason = unsound(figures)
    if reason:
        raise ScoreError(reason)


def check_images(sample: ExtractedFeatures, base: ExtractedFeatures) -> None:
    """Check that no image of a sample is lost.

    Raises:
        ScoreError: an image has another size than the unaccelerated image, or one colour where
            that has several.
    """
    if sample.looks is None or base.looks is None:
        return
    mine, theirs = sample.looks, base.looks[: sample.count]
    other = np.flatnonzero(is_resized(mine, theirs))
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


def scores(
    scoring: Scoring, sample: ExtractedFeatures, base: ExtractedFeatures
) -> dict[str, float]:
    """Scores of a candidate's sample, after the checks.

    Raises:
        ScoreError: the candidate cannot be scored; the error gives the reason.
    """
    check_images(sample, base)
    found = scoring.score(sample, base)
    check_finite(found)
    return found


def checked_intervals(
    scoring: Scoring, sample: ExtractedFeatures, base: ExtractedFeatures
) -> dict[str, list[float]]:
    """95 % intervals of a finalist's scores, after the checks.

    Raises:
        ScoreError: an interval is not finite; the error names it.
    """
    found = scoring.intervals(sample, base)
    check_finite({f"the 95 % interval of {name}": values for name, values in found.items()})
    return found


def unaccelerated_images(base: ExtractedFeatures) -> None:
    """Check that the unaccelerated model generates pictures. A few plain ones are allowed.

    Raises:
        StrategyError: a share `FLAT` of its images, and at least two, have one colour.
    """
    if base.looks is None:
        return
    blank = np.flatnonzero(is_flat(base.looks))
    if len(blank) >= max(2.0, FLAT * base.count):
        raise StrategyError(
            f"{len(blank)} of {base.count} images of the unaccelerated model are of one colour, "
            f"the first {_colour(base.looks[blank[0]])}; {USUAL}"
        )


def unaccelerated_scores(scoring: Scoring, base: ExtractedFeatures) -> dict[str, float]:
    """Scores of the unaccelerated model.

    Raises:
        StrategyError: a score is not finite, or the images cannot be scored.
    """
    try:
        found = scoring.score(base, base)
        check_finite(found)
    except ScoreError as error:
        raise StrategyError(f"the unaccelerated model cannot be scored: {error}; {USUAL}") from None
    return found


def unaccelerated_chance(scoring: Scoring, base: ExtractedFeatures) -> dict[str, float]:
    """Distances that arise by chance between two sets of images, see `Metric.noise_floor`.

    Raises:
        StrategyError: a distance is not finite, or the images cannot be scored.
    """
    try:
        found = scoring.noise_floors(base)
        check_finite(found)
    except ScoreError as error:
        raise StrategyError(f"the unaccelerated model cannot be scored: {error}; {USUAL}") from None
    return found


def evaluation(one: Evaluation) -> Evaluation:
    """The evaluation itself, or an infeasible one if one of its values is not finite."""
    resamples = {f"resample {i + 1}": row for i, row in enumerate(one.resampled_losses)}
    losses = {"an objective": one.objectives, "the violation": one.violation}
    reason = unsound({**one.scores, **losses, **resamples})
    if not reason:
        return one
    error = one.error or reason
    return replace(one, scores={}, error=error, objectives=(), violation=0.0, resampled_losses=())


def finalist(noted: dict[str, Any]) -> dict[str, Any]:
    """The note of a finalist, or a note with its error if one of its scores is not finite."""
    intervals = {f"the 95 % interval of {k}": v for k, v in noted.get("intervals", {}).items()}
    reason = unsound({**noted.get("scores", {}), **intervals})
    return {"error": reason} if reason else noted
