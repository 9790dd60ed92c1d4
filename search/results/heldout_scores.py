"""Held-out scores: the study's notes on each finalist, for every set of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.study import score_checks as gate
from search.study.study import Study

HELDOUT = "heldout:"  # Prefix of the study's notes, before a digest.


@dataclass(frozen=True)
class Figures:
    """Scores of a finalist on one set of prompts.

    Attributes:
        scores: scores by name.
        intervals: `[value, low, high]` by name.
        draws: losses of every objective on resamples of the prompts, the same ones for all
            finalists; none for objectives that do not depend on prompts.
    """

    scores: dict[str, float]
    intervals: dict[str, list[float]]
    draws: dict[str, list[float]]


@dataclass(frozen=True)
class Held:
    """Held-out results of a finalist.

    Attributes:
        error: reason of its failure, or empty.
        figures: scores by number of images, ascending.
    """

    error: str
    figures: Mapping[int, Figures]

    @property
    def images(self) -> int:
        """Number of images of the largest set that it is scored on; 0 for none."""
        return max(self.figures, default=0)


NOTHING = Held("", {})


def read(study: Study, digest: str, images: int) -> Held:
    """Held-out results of a finalist in a study.

    Args:
        study: log of the search.
        digest: digest of the finalist.
        images: number of images that versions without sets of prompts scored it on.
    """
    noted = study.noted(f"{HELDOUT}{digest}")
    if not noted:
        return NOTHING
    sound = gate.finalist(noted)
    if sound["error"]:
        return Held(sound["error"], {})
    if "levels" not in noted:
        return Held("", {images: Figures(noted["scores"], noted["intervals"], {})})
    rows = {int(count): Figures(**one) for count, one in noted["levels"].items()}
    return Held("", dict(sorted(rows.items())))


def is_former(study: Study) -> bool:
    """Whether a version without sets of prompts has scored finalists of this study."""
    rows = study.named(HELDOUT).values()
    return any(row and not row["error"] and "levels" not in row for row in rows)
