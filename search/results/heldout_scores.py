"""Held-out scores: what a study has noted of each finalist, on every set of prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.study import score_checks as gate
from search.study.study import Study

HELDOUT = "heldout:"  # What a finalist's figures are noted under, with its digest.


@dataclass(frozen=True)
class Figures:
    """Of a finalist on one set of prompts.

    Attributes:
        scores: by name.
        intervals: `[value, low, high]` by name.
        draws: of every objective its losses on resamples of the prompts, the same ones for all
            finalists; none of objectives that no prompt changes.
    """

    scores: dict[str, float]
    intervals: dict[str, list[float]]
    draws: dict[str, list[float]]


@dataclass(frozen=True)
class Held:
    """What is known of a finalist.

    Attributes:
        error: why it failed, or empty.
        figures: by number of images, ascending.
    """

    error: str
    figures: Mapping[int, Figures]

    @property
    def images(self) -> int:
        """Of the largest set that it is scored on; 0 is none."""
        return max(self.figures, default=0)


NOTHING = Held("", {})


def read(study: Study, digest: str, images: int) -> Held:
    """What a study has noted of a finalist.

    Args:
        images: that versions without sets of prompts scored it on.
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
