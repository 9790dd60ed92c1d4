"""Measurements that a study keeps: the unaccelerated scores, the reference point and more."""

from __future__ import annotations

from search.study.reference_point import worst
from search.study.study import Study


def base_scores(study: Study) -> dict[str, float] | None:
    """Figures of the unaccelerated pipeline on the search's prompts, once they are measured."""
    found: dict[str, float] | None = study.noted("base_scores")
    return found


def reference(study: Study) -> tuple[float, ...] | None:
    """The worst point that counts, see `search.study.reference_point`, once it is known."""
    found = study.noted("reference")
    if found is None:
        return None
    # Runs of earlier versions have a constant in its place.
    unscaled = study.noted("unscaled") or [False] * len(found)
    return worst(found, unscaled, study.evaluations)
