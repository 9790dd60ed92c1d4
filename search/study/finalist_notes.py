"""Notes on finalists in a study: held-out scores, times, and the exported front.

The keys are those of version 0.1, so runs of earlier versions are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from search.study import score_checks
from search.study.failures import END_TO_END, HELD_OUT, NOTES, noted
from search.study.study import Study
from strategies import Strategy

HELDOUT, NOT_TIMED = NOTES[HELD_OUT], NOTES[END_TO_END]
PART = "heldout-part:"  # What the device time of some images of a finalist is entered under.
TURNS = "end-to-end:"  # What the device time of some turns is entered under.
TIMED = "timed:"  # What the seconds of a strategy are noted under, with its digest.
REMOVAL = "ablation:"  # What the scores of a strategy without a method are noted under.

# Seconds of a strategy, and of the unaccelerated pipeline in the same turns.
Times = tuple[list[float], list[float]]


@dataclass(frozen=True)
class HeldoutScores:
    """Scores of a finalist on one set of prompts.

    Attributes:
        scores: scores by name.
        intervals: `[value, low, high]` by name.
        resampled_losses: losses of every objective on resamples of the prompts, the same ones for
            all finalists; none for objectives that do not depend on prompts.
    """

    scores: dict[str, float]
    intervals: dict[str, list[float]]
    resampled_losses: dict[str, list[float]]


@dataclass(frozen=True)
class HeldoutResults:
    """Held-out results of a finalist.

    Attributes:
        error: reason of its failure, or empty.
        by_images: scores by number of images, ascending.
    """

    error: str
    by_images: Mapping[int, HeldoutScores]

    @property
    def images(self) -> int:
        """Number of images of the largest set that it is scored on; 0 for none."""
        return max(self.by_images, default=0)


@dataclass(frozen=True)
class AblationScores:
    """Scores of a strategy without one of its methods.

    Attributes:
        images: number of held-out images; 0 if it was not scored.
        scores, intervals: results by name; empty if it failed.
        error: reason of the failure, or empty.
    """

    images: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, list[float]] = field(default_factory=dict)
    error: str = ""


class FinalistNotes:
    """Notes of the finalists of one run.

    Args:
        study: log of the run.
    """

    def __init__(self, study: Study) -> None:
        self._study = study

    # Held-out scores.

    def held(self, digest: str, images: int) -> HeldoutResults:
        """Held-out results of a finalist.

        Args:
            digest: digest of the finalist.
            images: number of images that versions without sets of prompts scored it on.
        """
        kept = self._study.noted(f"{HELDOUT}{digest}")
        if not kept:
            return HeldoutResults("", {})
        sound = score_checks.finalist(kept)
        if sound["error"]:
            return HeldoutResults(sound["error"], {})
        if "levels" not in kept:
            return HeldoutResults(
                "", {images: HeldoutScores(kept["scores"], kept["intervals"], {})}
            )
        rows = {int(count): _read_scores(one) for count, one in kept["levels"].items()}
        return HeldoutResults("", dict(sorted(rows.items())))

    @property
    def is_former(self) -> bool:
        """Whether a version without sets of prompts has scored finalists of this study."""
        rows = self.heldout_rows().values()
        return any(not row["error"] and "levels" not in row for row in rows)

    def heldout_rows(self) -> dict[str, dict[str, Any]]:
        """Everything noted of finalists on held-out prompts, by digest, as events tell it."""
        return {digest: row for digest, row in self._study.named(HELDOUT).items() if row}

    def keep_scores(self, digest: str, count: int, figures: HeldoutScores) -> dict[str, Any]:
        """Keep the scores of a finalist on a set of prompts; returns what is noted.

        Args:
            digest: digest of the finalist.
            count: number of images of the set.
            figures: its scores.
        """
        every = {**self.held(digest, count).by_images, count: figures}
        found = {
            "error": "",
            "images": count,
            "scores": figures.scores,
            "intervals": figures.intervals,
            "levels": {str(n): _note_of(one) for n, one in every.items()},
        }
        return self._keep(f"{HELDOUT}{digest}", found, 0.0)

    def keep_failure(
        self, strategy: Strategy, origin: str, error: str, seconds: float
    ) -> dict[str, Any]:
        """Keep that a finalist failed on held-out prompts; returns what is noted."""
        found = noted(strategy, origin, error)
        return self._keep(f"{HELDOUT}{strategy.digest}", found, seconds)

    def has_part(self, digest: str, start: int) -> bool:
        """Whether the images of a finalist from prompt `start` on were generated."""
        return self._study.seconds(f"{PART}{digest}:{start}") > 0

    def keep_part(self, digest: str, start: int, seconds: float) -> None:
        """Keep the device time that the images of a finalist from prompt `start` on took."""
        self._study.enter(f"{PART}{digest}:{start}", {}, seconds)

    @property
    def full_set(self) -> int | None:
        """Number of images of the full set, on which a strategy passes."""
        found = self._study.noted("race")
        return None if found is None else int(found["full"])

    def keep_full_set(self, full: int, levels: Sequence[int]) -> None:
        """Keep the numbers of images of the full set and of all sets."""
        self._study.note("race", {"full": full, "levels": list(levels)})

    # Times end to end.

    def times(self, digest: str) -> Times | None:
        """Seconds of a strategy end to end."""
        found = self._study.noted(f"{TIMED}{digest}")
        return None if found is None else (list(found[0]), list(found[1]))

    def former_turns(self, name: str) -> list[list[float]] | None:
        """Seconds turn by turn of strategies that an earlier version noted together."""
        found: list[list[float]] | None = self._study.noted(f"{TURNS}{name}")
        return found

    def keep_times(self, name: str, times: Mapping[str, Times], seconds: float) -> None:
        """Keep seconds end to end.

        Args:
            name: name of the strategies that were timed together.
            times: seconds by digest.
            seconds: device time that they took.
        """
        notes = {f"{TIMED}{digest}": list(times[digest]) for digest in sorted(times)}
        self._study.enter(f"{TURNS}{name}", notes, seconds)

    def keep_timed_alone(self, digest: str, seconds: float) -> None:
        """Keep the device time of finding out whether a strategy can be timed by itself."""
        name = f"{NOT_TIMED}{digest}"
        self._study.enter(name, {}, self._study.seconds(name) + seconds)

    def keep_not_timed(self, strategy: Strategy, origin: str, error: str, seconds: float) -> None:
        """Keep that a strategy cannot be timed."""
        found = noted(strategy, origin, error)
        self._keep(f"{NOT_TIMED}{strategy.digest}", found, seconds)

    # Strategies without one of their methods, and the exported finalists.

    def removed(self, digest: str) -> AblationScores:
        """Scores of a strategy without one of its methods."""
        return AblationScores(**(self._study.noted(f"{REMOVAL}{digest}") or {}))

    def keep_removed(self, digest: str, found: AblationScores, seconds: float) -> None:
        """Keep the scores of a strategy without one of its methods."""
        self._keep(f"{REMOVAL}{digest}", asdict(found), seconds)

    @property
    def exported(self) -> dict[str, Any] | None:
        """The finalists as they were exported: see `search.results.finalist`."""
        found: dict[str, Any] | None = self._study.noted("finals")
        return found

    def keep_exported(self, found: Mapping[str, Any]) -> None:
        """Keep the exported finalists."""
        self._study.note("finals", dict(found))

    def _keep(self, name: str, found: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Keep a note as an entry of its own name, whose device time grows."""
        self._study.enter(name, {name: found}, self._study.seconds(name) + seconds)
        return found


def _note_of(found: HeldoutScores) -> dict[str, Any]:
    """Scores as the log keeps them; runs of every version have these names."""
    return {"scores": found.scores, "intervals": found.intervals, "draws": found.resampled_losses}


def _read_scores(note: Mapping[str, Any]) -> HeldoutScores:
    return HeldoutScores(note["scores"], note["intervals"], note["draws"])
