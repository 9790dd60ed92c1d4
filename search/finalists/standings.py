"""The finalists of a search: what is known of them by now, and what drawing more of them costs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import inf
from statistics import median

from search.costs.cost_model import CostModel
from search.costs.cost_tracker import CostTracker
from search.costs.heldout_rungs import levels
from search.finalists.heldout_images import HeldoutImages
from search.finalists.undominated import unbeaten
from search.images.unaccelerated import UnacceleratedImages
from search.objectives.objectives import Objectives
from search.study.evaluation import Evaluation
from search.study.finalist_notes import FinalistNotes, HeldoutResults
from search.study.study import Study

ALL = 0.5  # Share of the time for the sets that all are scored on; the rest is for no loss.


def sets_of_prompts(study: Study, images: int) -> tuple[int, ...]:
    """The sets of held-out prompts that finalists are scored on, by their numbers of images.

    Args:
        study: log of the run; a former version had one set for all.
        images: number of images of the largest set.
    """
    return (images,) if FinalistNotes(study).is_former else levels(images)


class Standings:
    """The finalists of one search, their scores on held-out prompts, and the time that is left.

    Args:
        rows: finalists by digest, the most valuable first.
        baselines: digests of those that are baselines.
        sets: sets of held-out prompts, by their numbers of images.
        ceiling: seconds of the study after which nothing more is drawn.
        study: log of the run.
        objectives: objectives and constraints of the search.
        costs: latency and other costs of a strategy.
        accounts: spent and predicted device time.
        images: the unaccelerated images.
        drawing: images of the finalists.

    Attributes:
        rows: the finalists by digest, with those that took a place since.
        running: seconds that the requests under way are expected to take.
    """

    def __init__(
        self,
        rows: Mapping[str, Evaluation],
        baselines: Collection[str],
        sets: tuple[int, ...],
        ceiling: float,
        study: Study,
        objectives: Objectives,
        costs: CostModel,
        accounts: CostTracker,
        images: UnacceleratedImages,
        drawing: HeldoutImages,
    ) -> None:
        self.rows, self.baselines, self.levels, self.ceiling = dict(rows), baselines, sets, ceiling
        self._study, self._notes = study, FinalistNotes(study)
        self._objectives, self._costs = objectives, costs
        self._accounts, self._images, self._drawing = accounts, images, drawing
        self.running: dict[str, float] = {}

    def held(self, digest: str) -> HeldoutResults:
        """Results of a finalist on held-out prompts."""
        return self._notes.held(digest, self.levels[-1])

    def sound(self) -> list[str]:
        """Those that are scored and have not failed."""
        return [digest for digest in self.rows if self.held(digest).by_images]

    def alive(self, level: int) -> list[str]:
        """Those that are scored on a set and that no other of their kind beats on it."""
        rows = {digest: self.held(digest).by_images for digest in self.sound()}
        there = {digest: figures[level] for digest, figures in rows.items() if level in figures}
        every = {d: one.scores | self._costs.of(self.rows[d].strategy) for d, one in there.items()}
        kinds = [
            [d for d in there if (d in self.baselines) == baseline] for baseline in (False, True)
        ]
        alive = {
            digest
            for kind in kinds
            for digest in unbeaten(
                self._objectives, {d: (every[d], there[d].resampled_losses) for d in kind}
            )
        }
        return [digest for digest in there if digest in alive]

    @property
    def common(self) -> int:
        """The largest set that all finalists have that nobody beats; 0 where none is scored."""
        found = 0
        for level in self.levels:
            alive = self.alive(found) if found else self.sound()
            if not alive or any(level not in self.held(digest).by_images for digest in alive):
                break
            found = level
        return found

    def seconds_left(self) -> float:
        """Seconds that are left, without those of timing the finalists end to end."""
        if self.ceiling == inf:
            return inf
        timed = sum(self.rows[digest].scores["latency_s"] for digest in self.sound())
        running = sum(self.running.values())
        return self.ceiling - self._study.spent - running - self._accounts.predict_timing(timed)

    def cost(self, digest: str, level: int) -> float:
        """Seconds of drawing what is missing of a finalist up to a set."""
        row = self.rows[digest]
        missing = self._drawing.missing(row.strategy, self.held(digest).images, level)
        return self._accounts.predict_generation(row.scores["latency_s"], missing)

    def unaccelerated_seconds(self, level: int) -> float:
        """Seconds of the unaccelerated images that a set still needs."""
        return self._accounts.predict_generation(
            self._accounts.unaccelerated_latency, self._images.missing_images("heldout", level)
        )

    def fits(self, full: int, generated: Collection[str] = ()) -> bool:
        """Whether there is time to follow one of the search's own finalists to a full set.

        Counted are those at most as slow as the usual baseline, as only these are worth it. If
        there are none, all are counted.

        Args:
            full: images of the full set.
            generated: baselines whose images must be generated, if one of them is followed, too.
        """
        latency = {digest: row.scores["latency_s"] for digest, row in self.rows.items()}
        slowest = median([latency[digest] for digest in self.baselines] or [inf])

        def usual(digests: Iterable[str]) -> float:
            found = [latency[digest] for digest in digests]
            fast = [seconds for seconds in found if seconds <= slowest]
            return median(fast or found or [0.0])

        seconds = usual(latency.keys() - set(self.baselines)) + usual(generated)
        missing = self._accounts.predict_generation(seconds, full - self.levels[0])
        return missing + self.unaccelerated_seconds(full) <= (1 - ALL) * self.seconds_left()

    def speed(self, digest: str) -> float:
        """The speedup of a finalist by the latency table."""
        return self._costs.of(self.rows[digest].strategy)["speedup"]
