"""The full set of held-out prompts, on which a strategy passes as one without a loss.

It is fixed before the first image is drawn, so that looking at figures early changes no verdict.
"""

from __future__ import annotations

from collections.abc import Collection

from search.finalists.standings import Standings
from search.study.finalist_notes import FinalistNotes
from search.study.study import Study


def full_set(study: Study, standings: Standings, needed: float, generated: Collection[str]) -> int:
    """Number of images of the full set.

    It is the largest that a finalist of either kind can be scored on, at the usual latency of its
    kind. One that the study has noted stays, unless nothing could have passed on it.

    Args:
        study: log of the run.
        standings: the finalists.
        needed: images without which no strategy passes.
        generated: baselines whose images must be generated; there must be time for one, too.
    """
    kept, levels = FinalistNotes(study), standings.levels
    former = kept.full_set
    if former is not None and (former >= needed or former == levels[-1]):
        return former
    found = levels[-1]
    for level in reversed(levels[:-1]):
        if standings.fits(found, generated) or level < needed:
            break
        found = level
    kept.keep_full_set(found, levels)
    return found
