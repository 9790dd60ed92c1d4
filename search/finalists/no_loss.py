"""Choice of the finalists that may yet be shown to have no loss."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from math import inf, log

from evaluate.verdicts import changes_in, judge
from search.costs.cost_model import CostModel
from search.costs.cost_tracker import CostTracker
from search.finalists import lossless_probability as promise
from search.finalists.standings import Standings
from search.objectives.objectives import COSTS
from search.study import failures
from search.study.evaluation import comparable, is_rival
from search.study.study import Study
from search.workers.executor import Executor

Ranked = tuple[float, str, int]  # How promising a finalist is, its digest, its images so far.
Entry = tuple[str, int]  # Digest of a finalist, and the set that it is scored on next.
PLACES = 3  # Finalists with those that took a place since, at most so many times `export`.


class NoLoss:
    """The choice of finalists that may yet be shown to have no loss.

    Args:
        standings: the finalists.
        full: images of the full set, on which a strategy passes.
        margins: acceptance margins by figure; None where a figure has none.
        export: finalists of the search, at most, without those that take a place later.
        study: log of the run.
        objectives: names of the objectives.
        costs: latency and other costs of a strategy.
        accounts: spent and predicted device time.
        executor: workers.
    """

    def __init__(
        self,
        standings: Standings,
        full: int,
        margins: Mapping[str, float | None],
        export: int,
        study: Study,
        objectives: Sequence[str],
        costs: CostModel,
        accounts: CostTracker,
        executor: Executor,
    ) -> None:
        self._all, self.full, self._margins = standings, full, margins
        self._most, self._study = PLACES * export, study
        self._quality = [i for i, name in enumerate(objectives) if name not in COSTS]
        self._costs, self._accounts, self._executor = costs, accounts, executor

    @property
    def may_pass(self) -> bool:
        """Whether any strategy could be shown to have no loss on the full set."""
        return self.full >= promise.needed(self._margins)

    def likely(self) -> list[Entry]:
        """Those that may yet be shown to have no loss, as many as there are workers: the most
        promising ones that are faster than what has passed, and that there is room for to the end.
        """
        if not self.may_pass:
            return []
        ranked: list[Ranked] = []
        fastest = self._passed()
        for digest in self._all.alive(self._all.common):
            held = self._all.held(digest)
            changes = changes_in(held.figures[held.images].intervals)
            speed = self._all.speed(digest)
            found = promise.chance(changes, self._margins, held.images, self.full)
            wanted = speed > fastest[digest in self._all.rivals]
            if held.images < self.full and found >= promise.LEAST and wanted:
                ranked.append((found * log(speed), digest, held.images))
        chosen: list[Entry] = []
        room = self._all.room() - self._all.owed(self.full)
        for _, digest, images in self._by_turns(sorted(ranked, reverse=True)):
            cost = self._all.cost(digest, self.full)
            if cost > room:
                continue
            room -= cost
            chosen.append((digest, next(n for n in self._all.levels if n > images)))
            if len(chosen) >= self._executor.slots:
                break
        return chosen

    def _passed(self) -> dict[bool, float]:
        """The speedup that shows something new: for the search's own (False) above that of all that
        passed, for a baseline (True) above that of the baselines that did. At least 1.
        """
        found = {True: 1.0, False: 1.0}
        for digest in self._all.sound():
            held = self._all.held(digest)
            changes = changes_in(held.figures[held.images].intervals)
            if judge(changes, self._margins, held.images, self.full).answer != "yes":
                continue
            for kind in {False, digest in self._all.rivals}:
                found[kind] = max(found[kind], self._all.speed(digest))
        return found

    def milder(self) -> str:
        """One more finalist: the fastest that the search found nearer than all of its own that have
        no chance to pass any more, and faster than what has passed, where there is room for it.

        Returns:
            Its digest, or nothing where there is none.
        """
        if not self.may_pass or self._all.ceiling == inf or not self._all.common:
            return ""
        if len(self._all.rows) >= self._most:
            return ""
        lost = [self._all.rows[d].objectives for d in self._all.sound() if self._has_lost(d)]
        if not lost:
            return ""
        fastest, failed = self._passed()[False], failures.finalists(self._study)
        rows = [
            (self._costs.of(row.strategy)["speedup"], row)
            for row in comparable(self._study.evaluations)
            if row.strategy.digest not in {*self._all.rows, *failed} and row.feasible
            and not is_rival(row)
            and all(any(row.objectives[i] < other[i] for i in self._quality) for other in lost)
        ]  # fmt: skip
        for speed, row in sorted(rows, key=lambda pair: -pair[0]):
            latency = row.scores["latency_s"]
            cost = self._accounts.draw(latency, self.full) + self._accounts.timing(latency)
            if speed > fastest and cost + self._all.owed(self.full) <= self._all.room():
                self._all.rows[row.strategy.digest] = row
                return row.strategy.digest
        return ""

    def _has_lost(self, digest: str) -> bool:
        """Whether one of the search's own is not followed any further for want of a chance."""
        held = self._all.held(digest)
        changes = changes_in(held.figures[held.images].intervals)
        if digest in self._all.rivals:
            return False
        if held.images >= self.full:
            return judge(changes, self._margins, held.images, self.full).answer != "yes"
        return promise.chance(changes, self._margins, held.images, self.full) < promise.LEAST

    def _by_turns(self, ranked: list[Ranked]) -> list[Ranked]:
        """The search's own and baselines by turns, so that what has no loss is known of both."""
        mine = [one for one in ranked if one[1] not in self._all.rivals]
        others = [one for one in ranked if one[1] in self._all.rivals]
        pairs = itertools.zip_longest(mine, others)
        return [one for pair in pairs for one in pair if one is not None]
