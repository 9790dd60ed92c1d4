"""Choice of the finalists that may yet be shown to have no loss."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, log

from evaluate.verdicts import changes_in, judge_changes
from search.costs.cost_model import CostModel
from search.costs.cost_tracker import CostTracker
from search.finalists import distance_prior
from search.finalists import lossless_probability as promise
from search.finalists.standings import Standings
from search.objectives.objectives import COST_METRICS
from search.study import failures
from search.study.evaluation import Evaluation, comparable, is_baseline_evaluation
from search.study.study import Study
from search.workers.executor import Executor

# How promising a finalist is for each second on the full set, its digest, its images so far.
Ranked = tuple[float, str, int]
Entry = tuple[str, int]  # Digest of a finalist, and the set that it is scored on next.
UNSEEN = 0.75  # Chance that the first images of a new finalist keep it in the race.
PLACES = 3  # Finalists with those that took a place since, at most so many times `export`.
INSTANT = 1e-3  # Seconds that a full set counts as where nothing of it has to be generated.


@dataclass
class _Settled:
    """Results of the settled finalists.

    Attributes:
        passed: quality objectives of those that have shown no loss.
        lost: quality objectives of those that have shown a loss, or have no chance left.
        nearest: smallest value of each objective over all finalists; it stands for an empty
            `passed`.
        fastest: largest speedup, at least 1, of all that passed (False) and of the baselines among
            them (True).
    """

    passed: list[list[float]] = field(default_factory=list)
    lost: list[list[float]] = field(default_factory=list)
    nearest: list[float] = field(default_factory=list)
    fastest: dict[bool, float] = field(default_factory=lambda: {False: 1.0, True: 1.0})

    def gain(self, speed: float, *, baseline: bool) -> float:
        """Logarithm of the speedup of a strategy over those that have passed."""
        return log(speed / self.fastest[baseline])

    def chance(self, losses: Sequence[float]) -> float:
        """Chance that a strategy with these objectives has no loss."""
        return distance_prior.no_loss_chance(losses, self.passed or [self.nearest], self.lost)


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
        self._quality = [i for i, name in enumerate(objectives) if name not in COST_METRICS]
        self._costs, self._accounts, self._executor = costs, accounts, executor

    @property
    def may_pass(self) -> bool:
        """Whether any strategy could be shown to have no loss on the full set."""
        return self.full >= promise.images_to_pass(self._margins)

    def likely(self) -> list[Entry]:
        """Those that may yet be shown to have no loss, as many as there are workers.

        They are faster than what has passed, there is room for them to the end, and they promise
        most for each second: a fast strategy costs little to be sure of.
        """
        if not self.may_pass:
            return []
        chosen: list[Entry] = []
        room = self._all.seconds_left() - self._all.unaccelerated_seconds(self.full)
        for _, digest, images in self._ranked(self._settled()):
            cost = self._all.cost(digest, self.full)
            if cost > room:
                continue
            room -= cost
            chosen.append((digest, next(n for n in self._all.levels if n > images)))
            if len(chosen) >= self._executor.slots:
                break
        return chosen

    def another(self) -> str:
        """One more finalist, from all that the search has evaluated: the one that promises most for
        each second by its distance and its speed, where it promises more than every finalist of the
        search.

        It needs finalists that have shown a loss: without them nothing is known of distances.

        Returns:
            Its digest, or nothing where there is none.
        """
        if not self.may_pass or self._all.ceiling == inf or not self._all.common:
            return ""
        settled = self._settled()
        if not settled.lost or len(self._all.rows) >= self._most:
            return ""
        open_ones = {digest for digest, _ in self.likely()}
        best = max((v for v, d, _ in self._ranked(settled) if d in open_ones), default=0.0)
        taken = {*self._all.rows, *failures.finalists(self._study)}
        chosen: Evaluation | None = None
        for row in comparable(self._study.evaluations):
            if row.strategy.digest in taken or not row.feasible or is_baseline_evaluation(row):
                continue
            gain = settled.gain(self._costs.of(row.strategy)["speedup"], baseline=False)
            if gain <= 0:
                continue
            value = gain * UNSEEN * settled.chance(self._losses(row)) / self._seconds(row)
            if value > best and self._has_room(row):
                best, chosen = value, row
        if chosen is None:
            return ""
        self._all.rows[chosen.strategy.digest] = chosen
        return chosen.strategy.digest

    def _settled(self) -> _Settled:
        """Results of the settled finalists; one without a chance counts as lost."""
        found = _Settled()
        for digest in self._all.sound():
            held, losses = self._all.held(digest), self._losses(self._all.rows[digest])
            found.nearest = list(map(min, losses, found.nearest or losses))
            changes = changes_in(held.by_images[held.images].intervals)
            if held.images < self.full:
                chance = promise.pass_probability(changes, self._margins, held.images, self.full)
                if chance < promise.MIN_CHANCE:
                    found.lost.append(losses)
            elif judge_changes(changes, self._margins, held.images, self.full).answer != "yes":
                found.lost.append(losses)
            else:
                found.passed.append(losses)
                for kind in {False, digest in self._all.baselines}:
                    found.fastest[kind] = max(found.fastest[kind], self._all.speed(digest))
        return found

    def _ranked(self, settled: _Settled) -> list[Ranked]:
        """Finalists that are open and wanted, the most promising first, in turns."""
        found: list[Ranked] = []
        for digest in self._all.alive(self._all.common):
            held = self._all.held(digest)
            gain = settled.gain(self._all.speed(digest), baseline=digest in self._all.baselines)
            if held.images >= self.full or gain <= 0:
                continue
            changes = changes_in(held.by_images[held.images].intervals)
            chance = promise.pass_probability(changes, self._margins, held.images, self.full)
            if chance >= promise.MIN_CHANCE:
                # Its images may still show that it is better than its distance says.
                prior = settled.chance(self._losses(self._all.rows[digest]))
                prior = max(prior, promise.MIN_CHANCE)
                seconds = max(self._all.cost(digest, self.full), INSTANT)
                found.append((chance * prior * gain / seconds, digest, held.images))
        return self._by_turns(sorted(found, reverse=True))

    def _losses(self, row: Evaluation) -> list[float]:
        """Quality objectives of a strategy as the search has measured them."""
        return [row.objectives[index] for index in self._quality]

    def _seconds(self, row: Evaluation) -> float:
        """Seconds of scoring a new strategy on the full set, and of timing it."""
        latency = row.scores["latency_s"]
        return self._accounts.predict_generation(
            latency, self.full
        ) + self._accounts.predict_timing(latency)

    def _has_room(self, row: Evaluation) -> bool:
        """Test whether there is time to score a new strategy on the full set."""
        return (
            self._seconds(row) + self._all.unaccelerated_seconds(self.full)
            <= self._all.seconds_left()
        )

    def _by_turns(self, ranked: list[Ranked]) -> list[Ranked]:
        """The search's own and baselines by turns, so that what has no loss is known of both."""
        mine = [one for one in ranked if one[1] not in self._all.baselines]
        others = [one for one in ranked if one[1] in self._all.baselines]
        pairs = itertools.zip_longest(mine, others)
        return [one for pair in pairs for one in pair if one is not None]
