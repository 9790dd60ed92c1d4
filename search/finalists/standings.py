"""The finalists of a search: what is known of them by now, and what drawing more of them costs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import inf
from typing import TYPE_CHECKING

from search.costs.heldout_rungs import levels
from search.finalists import heldout
from search.finalists.undominated import unbeaten
from search.results import heldout_scores
from search.results.heldout_scores import Held
from search.study.evaluation import Evaluation

if TYPE_CHECKING:
    from search.engine.engine import Engine


class Standings:
    """The finalists of one search, their scores on held-out prompts, and the time that is left.

    Args:
        engine: of the search.
        rows: the finalists by digest, the most valuable first.
        rivals: digests of those that are baselines.
        ceiling: seconds of the study after which nothing more is drawn.

    Attributes:
        rows: the finalists by digest, with those that took a place since.
        levels: the sets of held-out prompts, by their numbers of images.
        drawing: the samples of the finalists.
        running: seconds that the requests under way are expected to take.
    """

    def __init__(
        self,
        engine: Engine,
        rows: Mapping[str, Evaluation],
        rivals: Collection[str],
        ceiling: float,
    ) -> None:
        self.engine, self.rows, self.rivals, self.ceiling = engine, dict(rows), rivals, ceiling
        most = engine.config.heldout_images
        self.levels = (most,) if heldout_scores.is_former(engine.study) else levels(most)
        self.drawing = heldout.Drawing(engine, self.levels[0])
        self.running: dict[str, float] = {}

    def held(self, digest: str) -> Held:
        """What is known of a finalist."""
        config = self.engine.config
        return heldout_scores.read(self.engine.study, digest, config.heldout_images)

    def sound(self) -> list[str]:
        """Those that are scored and have not failed."""
        return [digest for digest in self.rows if self.held(digest).figures]

    def alive(self, level: int) -> list[str]:
        """Those that are scored on a set and that no other of their kind beats on it."""
        rows = {digest: self.held(digest).figures for digest in self.sound()}
        there = {digest: figures[level] for digest, figures in rows.items() if level in figures}
        goals = self.engine.goals
        every = {
            d: one.scores | self.engine.costs(self.rows[d].strategy) for d, one in there.items()
        }
        kinds = [[d for d in there if (d in self.rivals) == rival] for rival in (False, True)]
        alive = {
            digest
            for kind in kinds
            for digest in unbeaten(goals, {d: (every[d], there[d].draws) for d in kind})
        }
        return [digest for digest in there if digest in alive]

    @property
    def common(self) -> int:
        """The largest set that all finalists have that nobody beats; 0 where none is scored."""
        found = 0
        for level in self.levels:
            alive = self.alive(found) if found else self.sound()
            if not alive or any(level not in self.held(digest).figures for digest in alive):
                break
            found = level
        return found

    def room(self) -> float:
        """Seconds that are left, without those of timing the finalists end to end."""
        if self.ceiling == inf:
            return inf
        engine = self.engine
        timed = sum(self.rows[digest].scores["latency_s"] for digest in self.sound())
        running = sum(self.running.values())
        return self.ceiling - engine.study.spent - running - engine.spending.timing(timed)

    def cost(self, digest: str, level: int) -> float:
        """Seconds of drawing what is missing of a finalist up to a set."""
        row = self.rows[digest]
        missing = self.drawing.missing(row.strategy, self.held(digest).images, level)
        return self.engine.spending.draw(row.scores["latency_s"], missing)

    def owed(self, level: int) -> float:
        """Seconds of the unaccelerated images that a set still needs."""
        spending = self.engine.spending
        return spending.draw(spending.plain, self.engine.images.owed("heldout", level))

    def speed(self, digest: str) -> float:
        """The speedup of a finalist by the latency table."""
        return self.engine.costs(self.rows[digest].strategy)["speedup"]
