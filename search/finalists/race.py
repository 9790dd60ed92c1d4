"""The final scoring as a race: finalists on growing sets of held-out prompts.

First all are scored on ever larger sets, without those that another of their kind beats beyond
doubt, as far as a share of the time allows. The largest set that all others have is what
the front is compared on. Then those follow that may yet be shown to have no loss, up to the full
set. That is fixed before the first image is drawn, and no strategy passes on fewer images.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from math import inf, log
from statistics import fmean
from typing import TYPE_CHECKING

from evaluate.reading import Sample
from evaluate.verdicts import changes_in, judge
from search.costs.heldout_rungs import levels
from search.finalists import heldout
from search.finalists import lossless_probability as promise
from search.finalists.heldout import Held
from search.finalists.undominated import unbeaten
from search.images import unaccelerated as drawing
from search.study import score_checks as gate
from search.study.study import Evaluation
from search.workers.worker import Request

if TYPE_CHECKING:
    from search.engine.engine import Engine

NOTE = "race"  # The full set of a study is noted under it.
ALL = 0.5  # Share of the time for the sets that all are scored on; the rest is for no loss.
Ranked = tuple[float, str, int]  # How promising a finalist is, its digest, its images so far.
Entry = tuple[str, int]  # Digest of a finalist, and the set that it is scored on next.


class Race:
    """The finalists of one search.

    Args:
        engine: of the search.
        rows: the finalists by digest, the most valuable first.
        rivals: digests of those that are baselines.
        ceiling: seconds of the study after which nothing more is drawn.

    Attributes:
        full: images of the full set.
    """

    def __init__(
        self,
        engine: Engine,
        rows: Mapping[str, Evaluation],
        rivals: Collection[str],
        ceiling: float,
    ) -> None:
        self.engine, self.rows, self.rivals, self._ceiling = engine, rows, rivals, ceiling
        most = engine.config.heldout_images
        self.levels = (most,) if heldout.is_former(engine.study) else levels(most)
        self._drawing = heldout.Drawing(engine, self.levels[0])
        self._running: dict[str, float] = {}
        self.full = self._full()

    def run(self) -> None:
        """Score the finalists as far as the budget goes."""
        follow = self._may_pass and self._ceiling < inf and self._fits(self.full, 1)
        kept = self._room() * (1 - ALL) if follow else 0.0
        self._draw(self._everyone(kept), {self.levels[0]})
        left = self._room() - kept
        for below, level in zip(self.levels, self.levels[1:], strict=False):
            alive = [d for d in self._alive(below) if level not in self._held(d).figures]
            left -= sum(self._cost(d, level) for d in alive) + self._owed(level)
            if left < 0:
                break
            self._draw(((digest, level) for digest in alive), {level})
        while likely := self._likely():
            self._draw(iter(likely), {level for _, level in likely})

    @property
    def _may_pass(self) -> bool:
        """Whether any strategy could be shown to have no loss on the full set."""
        return self.full >= promise.needed(self.engine.config.all_margins)

    @property
    def common(self) -> int:
        """The largest set that all finalists have that nobody beats; 0 where none is scored."""
        found = 0
        for level in self.levels:
            alive = self._alive(found) if found else self._sound()
            if not alive or any(level not in self._held(digest).figures for digest in alive):
                break
            found = level
        return found

    def _full(self) -> int:
        """The full set: the largest on which two finalists can be scored, one of either kind; only
        one is drawn where samples of baselines ship.

        One that was ever fixed stays, unless nothing could have passed on it.
        """
        study, needed = self.engine.study, promise.needed(self.engine.config.all_margins)
        former = study.noted(NOTE)
        if former is not None and (former["full"] >= needed or former["full"] == self.levels[-1]):
            return int(former["full"])
        found = self.levels[-1]
        shipped = self.engine.shipped
        drawn = 1 if shipped is not None and shipped.digests & set(self.rivals) else 2
        for level in reversed(self.levels[:-1]):
            if self._fits(found, drawn) or level < needed:
                break
            found = level
        study.note(NOTE, {"full": found, "levels": list(self.levels)})
        return found

    def _fits(self, full: int, count: int) -> bool:
        """Whether there is time to follow so many finalists from the first set to a full one."""
        if not self.rows:
            return True
        mean = fmean(row.scores["latency_s"] for row in self.rows.values())
        drawn = self.engine.spending.draw(mean, count * (full - self.levels[0]))
        return drawn + self._owed(full) <= (1 - ALL) * self._room()

    # What is known of the finalists.

    def _held(self, digest: str) -> Held:
        config = self.engine.config
        return heldout.read(self.engine.study, digest, config.heldout_images)

    def _sound(self) -> list[str]:
        """Those that are scored and have not failed."""
        return [digest for digest in self.rows if self._held(digest).figures]

    def _alive(self, level: int) -> list[str]:
        """Those that are scored on a set and that no other of their kind beats on it."""
        rows = {digest: self._held(digest).figures for digest in self._sound()}
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

    # What it costs.

    def _room(self) -> float:
        """Seconds that are left, without those of timing the finalists end to end."""
        if self._ceiling == inf:
            return inf
        engine = self.engine
        timed = sum(self.rows[digest].scores["latency_s"] for digest in self._sound())
        running = sum(self._running.values())
        return self._ceiling - engine.study.spent - running - engine.spending.timing(timed)

    def _cost(self, digest: str, level: int) -> float:
        """Seconds of drawing what is missing of a finalist up to a set."""
        row = self.rows[digest]
        missing = self._drawing.missing(row.strategy, self._held(digest).images, level)
        return self.engine.spending.draw(row.scores["latency_s"], missing)

    def _owed(self, level: int) -> float:
        """Seconds of the unaccelerated images that a set still needs."""
        spending = self.engine.spending
        return spending.draw(spending.plain, drawing.owed(self.engine, "heldout", level))

    # Who is next.

    def _everyone(self, kept: float) -> Iterator[Entry]:
        """All that are not scored yet, as far as there is room; one always is.

        Args:
            kept: seconds that are for something else.
        """
        engine, level, any_yet = self.engine, self.levels[0], bool(self._sound())
        for digest, row in self.rows.items():
            held = self._held(digest)
            if held.error or held.figures:
                continue
            timed = engine.spending.timing(row.scores["latency_s"])
            if any_yet and self._cost(digest, level) + timed > self._room() - kept:
                continue
            any_yet = True
            yield digest, level

    def _likely(self) -> list[Entry]:
        """Those that may yet be shown to have no loss, as many as there are workers: the most
        promising ones that are faster than what has passed, and that there is room for to the end.
        """
        engine, margins = self.engine, self.engine.config.all_margins
        if not self._may_pass:
            return []
        passed = {True: 1.0, False: 1.0}
        ranked: list[Ranked] = []
        for digest in self._alive(self.common):
            held, kind = self._held(digest), digest in self.rivals
            changes = changes_in(held.figures[held.images].intervals)
            speed = engine.costs(self.rows[digest].strategy)["speedup"]
            if held.images >= self.full:
                if judge(changes, margins, held.images, self.full).answer == "yes":
                    passed[kind] = max(passed[kind], speed)
                continue
            found = promise.chance(changes, margins, held.images, self.full)
            if found >= promise.LEAST and speed > 1:
                ranked.append((found * log(speed), digest, held.images))
        chosen: list[Entry] = []
        room = self._room() - self._owed(self.full)
        for _, digest, images in self._by_turns(sorted(ranked, reverse=True)):
            speed = engine.costs(self.rows[digest].strategy)["speedup"]
            cost = self._cost(digest, self.full)
            if speed <= passed[digest in self.rivals] or cost > room:
                continue
            room -= cost
            chosen.append((digest, next(n for n in self.levels if n > images)))
            if len(chosen) >= engine.executor.slots:
                break
        return chosen

    def _by_turns(self, ranked: list[Ranked]) -> list[Ranked]:
        """The search's own and baselines by turns, so that what has no loss is known of both."""
        mine = [one for one in ranked if one[1] not in self.rivals]
        others = [one for one in ranked if one[1] in self.rivals]
        pairs = itertools.zip_longest(mine, others)
        return [one for pair in pairs for one in pair if one is not None]

    # Drawing.

    def _draw(self, entries: Iterator[Entry], counts: Collection[int]) -> None:
        """Draw and score finalists, part by part, by all workers at once.

        Args:
            entries: asked for when a worker is free.
            counts: the sets that they name.
        """
        engine, entered = self.engine, dict[str, int]()
        bases = {count: self.base(count) for count in sorted(counts)}

        def requests() -> Iterator[Request]:
            for digest, count in entries:
                entered[digest] = count
                strategy = self.rows[digest].strategy
                missing = list(self._drawing.requests(strategy, 0, count))
                for request in missing:
                    drawn = count_of(request)
                    latency = self.rows[digest].scores["latency_s"]
                    self._running[request.key] = engine.spending.draw(latency, drawn)
                engine.say(f"scoring on {count} held-out prompts, {len(entered)} strategies so far")
                yield from (one for one in missing if not self._held(digest).error)
                if not missing:
                    self._settle(digest, count, bases)

        for request, outcome in engine.executor.each(requests()):
            self._running.pop(request.key)
            digest = request.key.partition(":")[0]
            row = self.rows[digest]
            if outcome.value is None:
                heldout.fail(engine, row, outcome)
                self._forget(digest)
                continue
            engine.spending.saw(row.scores["latency_s"], count_of(request), outcome.seconds)
            self._drawing.take(request, outcome.value, outcome.seconds)
            self._settle(digest, entered[digest], bases)

    def _settle(self, digest: str, count: int, bases: Mapping[int, Sample]) -> None:
        """Score a finalist once all of its images are there."""
        sample = None if self._held(digest).error else self._drawing.sample(digest, count)
        if sample is None:
            return
        heldout.score(self.engine, self.rows[digest], sample, bases[count])

    def _forget(self, digest: str) -> None:
        """Expect no more of a finalist that failed."""
        for key in [key for key in self._running if key.startswith(digest)]:
            self._running[key] = 0.0

    def base(self, count: int) -> Sample:
        """The unaccelerated sample of a set, and what finalists are held against on it."""
        engine = self.engine
        engine.scoring[f"heldout-{count}"] = drawing.scoring(engine, "heldout", count)
        base = drawing.unaccelerated(engine, "heldout", count)
        gate.unaccelerated_images(base)
        return base


def count_of(request: Request) -> int:
    """Images that a request draws."""
    return int(request.arguments[2] - request.arguments[3])
