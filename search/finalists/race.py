"""The final scoring as a race: finalists on growing sets of held-out prompts.

First all are scored on ever larger sets, without those that another of their kind beats beyond
doubt, as far as a share of the time allows. The largest set that all others have is what
the front is compared on. Then those follow that may yet be shown to have no loss, up to the full
set. That is fixed before the first image is drawn, and no strategy passes on fewer images. Where
none is left of them, milder strategies take the places of those that have shown a loss.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import inf
from statistics import median

from evaluate.reading import Sample
from search.finalists import heldout
from search.finalists import lossless_probability as promise
from search.finalists.no_loss import Entry, NoLoss
from search.finalists.standings import Standings
from search.study import score_checks as gate
from search.workers.worker import Request

NOTE = "race"  # The full set of a study is noted under it.
ALL = 0.5  # Share of the time for the sets that all are scored on; the rest is for no loss.


class Race:
    """The finalists of one search.

    Args:
        standings: of the finalists.

    Attributes:
        all: the standings.
        full: images of the full set.
    """

    def __init__(self, standings: Standings) -> None:
        self.engine, self.all = standings.engine, standings
        self.full = self._full()
        self._no_loss = NoLoss(self.all, self.full)

    def run(self) -> None:
        """Score the finalists as far as the budget goes."""
        follow = self._no_loss.may_pass and self.all.ceiling < inf and self._fits(self.full)
        kept = self.all.room() * (1 - ALL) if follow else 0.0
        self._draw(self._everyone(kept), {self.all.levels[0]})
        if follow:
            self._take_what_ships()
        left = self.all.room() - kept
        for below, level in zip(self.all.levels, self.all.levels[1:], strict=False):
            alive = [d for d in self.all.alive(below) if level not in self.all.held(d).figures]
            left -= sum(self.all.cost(d, level) for d in alive) + self.all.owed(level)
            if left < 0:
                break
            self._draw(((digest, level) for digest in alive), {level})
        while True:
            common = self.all.common
            if likely := self._no_loss.likely():
                self._draw(iter(likely), {level for _, level in likely})
            elif milder := self._no_loss.milder():
                for level in self.all.levels[: self.all.levels.index(common) + 1]:
                    self._draw(iter([(milder, level)]), {level})
            else:
                break

    def _full(self) -> int:
        """The full set: the largest on which a finalist of either kind can be scored, at the usual
        latency of its kind; those of the search alone where samples of baselines ship.

        One that was ever fixed stays, unless nothing could have passed on it.
        """
        study, needed = self.engine.study, promise.needed(self.engine.config.all_margins)
        former = study.noted(NOTE)
        if former is not None and (
            former["full"] >= needed or former["full"] == self.all.levels[-1]
        ):
            return int(former["full"])
        found = self.all.levels[-1]
        shipped = self.engine.shipped
        free = shipped is not None and shipped.digests & set(self.all.rivals)
        for level in reversed(self.all.levels[:-1]):
            if self._fits(found, rivals=not free) or level < needed:
                break
            found = level
        study.note(NOTE, {"full": found, "levels": list(self.all.levels)})
        return found

    def _fits(self, full: int, rivals: bool = False) -> bool:
        """Whether there is time to follow one of the search's own finalists from the first set to a
        full one, and one baseline if `rivals`.
        """
        latencies: dict[bool, list[float]] = {False: [], True: []}
        for digest, row in self.all.rows.items():
            latencies[digest in self.all.rivals].append(row.scores["latency_s"])
        kinds = [latencies[False], latencies[True] if rivals else []]
        usual = sum(median(kind) for kind in kinds if kind)
        drawn = self.engine.spending.draw(usual, full - self.all.levels[0])
        return drawn + self.all.owed(full) <= (1 - ALL) * self.all.room()

    # Who is next.

    def _everyone(self, kept: float) -> Iterator[Entry]:
        """All that are not scored yet, as far as there is room; one always is.

        Args:
            kept: seconds that are for something else.
        """
        engine, level, any_yet = self.engine, self.all.levels[0], bool(self.all.sound())
        for digest, row in self.all.rows.items():
            held = self.all.held(digest)
            if held.error or held.figures:
                continue
            timed = engine.spending.timing(row.scores["latency_s"])
            if any_yet and self.all.cost(digest, level) + timed > self.all.room() - kept:
                continue
            any_yet = True
            yield digest, level

    def _take_what_ships(self) -> None:
        """Score those baselines on all sets of which nothing has to be drawn for that."""
        free = [digest for digest in self.all.sound() if digest in self.all.rivals]
        free = [digest for digest in free if self.all.cost(digest, self.full) == 0]
        if free and self.all.owed(self.full) == 0:
            for level in self.all.levels[1 : self.all.levels.index(self.full) + 1]:
                self._draw(((digest, level) for digest in free), {level})

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
                strategy = self.all.rows[digest].strategy
                missing = list(self.all.drawing.requests(strategy, 0, count))
                for request in missing:
                    drawn = count_of(request)
                    latency = self.all.rows[digest].scores["latency_s"]
                    self.all.running[request.key] = engine.spending.draw(latency, drawn)
                engine.say(f"scoring on {count} held-out prompts, {len(entered)} strategies so far")
                yield from (one for one in missing if not self.all.held(digest).error)
                if not missing:
                    self._settle(digest, count, bases)

        for request, outcome in engine.executor.each(requests()):
            self.all.running.pop(request.key)
            digest = request.key.partition(":")[0]
            row = self.all.rows[digest]
            if outcome.value is None:
                heldout.fail(engine, row, outcome)
                self._forget(digest)
                continue
            engine.spending.saw(row.scores["latency_s"], count_of(request), outcome.seconds)
            self.all.drawing.take(request, outcome.value, outcome.seconds)
            self._settle(digest, entered[digest], bases)

    def _settle(self, digest: str, count: int, bases: Mapping[int, Sample]) -> None:
        """Score a finalist once all of its images are there."""
        sample = None if self.all.held(digest).error else self.all.drawing.sample(digest, count)
        if sample is None:
            return
        heldout.score(self.engine, self.all.rows[digest], sample, bases[count])

    def _forget(self, digest: str) -> None:
        """Expect no more of a finalist that failed."""
        for key in [key for key in self.all.running if key.startswith(digest)]:
            self.all.running[key] = 0.0

    def base(self, count: int) -> Sample:
        """The unaccelerated sample of a set, and what finalists are held against on it."""
        engine = self.engine
        engine.scoring[f"heldout-{count}"] = engine.images.scoring("heldout", count)
        base = engine.images.sample("heldout", count)
        gate.unaccelerated_images(base)
        return base


def count_of(request: Request) -> int:
    """Images that a request draws."""
    return int(request.arguments[2] - request.arguments[3])
