"""The final scoring as a race: finalists on growing sets of held-out prompts.

First all are scored on ever larger sets, without those that another of their kind beats beyond
doubt, as far as a share of the time allows. The largest set that all others have is what
the front is compared on. Then those follow that may yet be shown to have no loss, up to the full
set. That is fixed before the first image is drawn, and no strategy passes on fewer images. Where
another strategy of the search is more promising by its distance and its speed, it becomes one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from math import inf

from search.costs.cost_tracker import CostTracker
from search.finalists.heldout_images import HeldoutImages
from search.finalists.heldout_scorer import Comparison, HeldoutScorer, comparison
from search.finalists.no_loss import Entry, NoLoss
from search.finalists.standings import ALL, Standings
from search.images.unaccelerated import UnacceleratedImages
from search.workers.executor import Executor
from search.workers.messages import SampleRequest


class Race:
    """A race of the finalists of one search.

    Args:
        standings: the finalists.
        no_loss: chooses who may be shown to have no loss.
        drawing: images of the finalists.
        scorer: scores of the finalists.
        images: the unaccelerated images.
        executor: workers.
        accounts: spent and predicted device time.
        say: status callback.
    """

    def __init__(
        self,
        standings: Standings,
        no_loss: NoLoss,
        drawing: HeldoutImages,
        scorer: HeldoutScorer,
        images: UnacceleratedImages,
        executor: Executor,
        accounts: CostTracker,
        say: Callable[[str], None],
    ) -> None:
        self._all, self._no_loss = standings, no_loss
        self._drawing, self._scorer, self._images = drawing, scorer, images
        self._executor, self._accounts, self._say = executor, accounts, say

    def run(self) -> None:
        """Score the finalists as far as the budget goes."""
        full = self._no_loss.full
        follow = self._no_loss.may_pass and self._all.ceiling < inf and self._all.fits(full)
        kept = self._all.seconds_left() * (1 - ALL) if follow else 0.0
        self._draw(self._everyone(kept), {self._all.levels[0]})
        if follow:
            self._take_what_ships()
        left = self._all.seconds_left() - kept
        for below, level in zip(self._all.levels, self._all.levels[1:], strict=False):
            alive = [d for d in self._all.alive(below) if level not in self._all.held(d).by_images]
            left -= sum(self._all.cost(d, level) for d in alive) + self._all.unaccelerated_seconds(
                level
            )
            if left < 0:
                break
            self._draw(((digest, level) for digest in alive), {level})
        while True:
            common = self._all.common
            if another := self._no_loss.another():
                for level in self._all.levels[: self._all.levels.index(common) + 1]:
                    self._draw(iter([(another, level)]), {level})
            elif likely := self._no_loss.likely():
                self._draw(iter(likely), {level for _, level in likely})
            else:
                break

    # Who is next.

    def _everyone(self, kept: float) -> Iterator[Entry]:
        """All that are not scored yet, as far as there is room; one always is.

        Args:
            kept: seconds that are for something else.
        """
        level, any_yet = self._all.levels[0], bool(self._all.sound())
        for digest, row in self._all.rows.items():
            held = self._all.held(digest)
            if held.error or held.by_images:
                continue
            timed = self._accounts.predict_timing(row.scores["latency_s"])
            if any_yet and self._all.cost(digest, level) + timed > self._all.seconds_left() - kept:
                continue
            any_yet = True
            yield digest, level

    def _take_what_ships(self) -> None:
        """Score those baselines on all sets of which nothing has to be drawn for that."""
        full = self._no_loss.full
        free = [digest for digest in self._all.sound() if digest in self._all.baselines]
        free = [digest for digest in free if self._all.cost(digest, full) == 0]
        if free and self._all.unaccelerated_seconds(full) == 0:
            for level in self._all.levels[1 : self._all.levels.index(full) + 1]:
                self._draw(((digest, level) for digest in free), {level})

    # Drawing.

    def _draw(self, entries: Iterator[Entry], counts: Collection[int]) -> None:
        """Draw and score finalists, part by part, by all workers at once.

        Args:
            entries: asked for when a worker is free.
            counts: the sets that they name.
        """
        entered = dict[str, int]()
        against = {count: comparison(self._images, count) for count in sorted(counts)}

        def requests() -> Iterator[SampleRequest]:
            for digest, count in entries:
                entered[digest] = count
                strategy = self._all.rows[digest].strategy
                missing = list(self._drawing.requests(strategy, 0, count))
                for request in missing:
                    latency = self._all.rows[digest].scores["latency_s"]
                    cost = self._accounts.predict_generation(latency, request.count)
                    self._all.running[request.key] = cost
                self._say(f"scoring on {count} held-out prompts, {len(entered)} strategies so far")
                yield from (one for one in missing if not self._all.held(digest).error)
                if not missing:
                    self._settle(digest, count, against)

        for request, outcome in self._executor.run_all(requests()):
            self._all.running.pop(request.key)
            digest = request.key.partition(":")[0]
            row = self._all.rows[digest]
            if outcome.value is None:
                self._scorer.fail(row, outcome.error, outcome.seconds)
                self._forget(digest)
                continue
            self._accounts.record(row.scores["latency_s"], request.count, outcome.seconds)
            self._drawing.take(request, outcome.value, outcome.seconds)
            self._settle(digest, entered[digest], against)

    def _settle(self, digest: str, count: int, against: Mapping[int, Comparison]) -> None:
        """Score a finalist once all of its images are there."""
        failed = self._all.held(digest).error
        sample = None if failed else self._drawing.sample(digest, count)
        if sample is not None:
            self._scorer.score(self._all.rows[digest], sample, against[count])

    def _forget(self, digest: str) -> None:
        """Expect no more of a finalist that failed."""
        for key in [key for key in self._all.running if key.startswith(digest)]:
            self._all.running[key] = 0.0
