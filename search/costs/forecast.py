"""Forecast of what a budget suffices for, for the plan of a run and for `--dry-run`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from math import inf, log
from statistics import fmean

from search.budget import parse_budget
from search.config import SearchConfig
from search.costs import budget_plan as plan
from search.costs import heldout_rungs as levels
from search.costs.budget_plan import BudgetPlan
from search.costs.cost_tracker import CostTracker
from search.initial.design import RANDOM
from search.proposers.generation_strategy import GenerationStrategy
from search.proposers.successive_halving import REDUCTION
from search.study.evaluation import Evaluation, is_baseline_evaluation
from strategies import Strategy

Counts = dict[int, int]


def equally_good(
    generation: GenerationStrategy, latency: Callable[[Strategy], float], objectives: int
) -> list[Evaluation]:
    """Evaluations of the initial strategies as if each were the best at its latency.

    Args:
        generation: choice of proposals of the search.
        latency: seconds of a strategy.
        objectives: number of objectives.
    """
    rows = []
    for number, (origin, one) in enumerate(generation.initial):
        seconds = latency(one)
        losses = (-seconds, *(seconds for _ in range(1, objectives)))
        genome = generation.space.encode(one)
        scores, images = {"latency_s": seconds}, generation.ladder[-1]
        rows.append(Evaluation(number, origin, genome, one, scores, "", 0.0, losses, 0.0, images))
    return rows


def of_median_latency(
    strategies: Sequence[Strategy], latency: Callable[[Strategy], float]
) -> Strategy:
    """The strategy of median latency."""
    return sorted(strategies, key=latency)[len(strategies) // 2]


def bred(
    generation: GenerationStrategy, latency: Callable[[Strategy], float], screened: bool
) -> list[Strategy]:
    """Strategies about as fast as those that will be bred.

    They are sampled uniformly. If a surrogate chooses children, the faster half of them is taken.
    Without any sampled strategy they are the initial ones.

    Args:
        generation: choice of proposals of the search.
        latency: seconds of a strategy.
        screened: whether a surrogate chooses children.
    """
    drawn = [one for origin, one in generation.initial if origin == RANDOM]
    if drawn and screened:
        return sorted(drawn, key=latency)[: (len(drawn) + 1) // 2]
    return drawn or [one for _, one in generation.initial]


def _evenly(fast: float, slow: float) -> float:
    """Mean latency of a front whose strategies are evenly spaced in the logarithm of speedup."""
    return (slow - fast) / log(slow / fast) if 0 < fast < slow else slow


def _nothing(*_: object) -> float:
    """Nothing is measured as a whole."""
    return 0.0


class Forecast:
    """Forecast of what the budget suffices for.

    Args:
        config: settings of the search.
        generation: choice of proposals of the search, which knows the latencies.
        latency: seconds of a strategy.
        unaccelerated: the unaccelerated pipeline as a strategy.
        spending: spent and predicted device time.
        before: seconds before the first proposal.
        owed: seconds of the unaccelerated images that the final scoring generates.
        proposals: strategies about as fast as those that follow the initial ones.
        measuring: seconds of measuring a strategy as a whole, from it, its latency and that of the
            unaccelerated pipeline.
    """

    def __init__(
        self,
        config: SearchConfig,
        generation: GenerationStrategy,
        latency: Callable[[Strategy], float],
        unaccelerated: Strategy,
        spending: CostTracker,
        before: float,
        owed: float,
        proposals: Sequence[Strategy],
        measuring: Callable[[Strategy, float, float], float] = _nothing,
    ) -> None:
        self.generation, self._config, self.spending = generation, config, spending
        self._budget, self._ladder = parse_budget(config.budget), config.ladder
        self.before, self.owed = before, owed
        self.screened = config.surrogate and generation.proposer.uses_surrogate
        rows = equally_good(generation, latency, len(config.objectives))
        self.initial_latencies = [row.scores["latency_s"] for row in rows]
        # Number of baselines among the first initial strategies.
        self.baselines = list(
            itertools.accumulate((is_baseline_evaluation(row) for row in rows), initial=0)
        )
        self.later = fmean(map(latency, proposals)) if proposals else latency(unaccelerated)
        plain = latency(unaccelerated)

        def measured(one: Strategy) -> float:
            return measuring(one, latency(one), plain)

        self.first_timing = [measured(row.strategy) for row in rows]
        self.later_timing = fmean(map(measured, proposals)) if proposals else 0.0
        self.best = _evenly(min([*self.initial_latencies, self.later]), latency(unaccelerated))
        self.scoring = plan.allowance(self._budget, before)

    def plan(self) -> BudgetPlan:
        """The plan of the run; the proposer takes from it when to breed."""
        self.generation.first = plan.initial_proposals(sum(self.evaluations()[0].values()))
        counts, _, done = self.evaluations()
        found = sum(counts.values())
        timeless = self._budget.seconds is None
        return BudgetPlan(
            budget=self._budget,
            measured=self.before,
            scoring=self.scoring,
            evaluations=found,
            strategies=done,
            start=self.generation.first,
            beyond=done - self.initial_count(done),
            finalists=self.after(done)[0],
            images=self._config.heldout_images,
            enough=inf if timeless else self.enough(),
        )

    def initial_count(self, done: int) -> int:
        """Number of initial strategies among the first `done`; a surrogate chooses few of them."""
        generation = self.generation
        return generation.initial_count(min(done, generation.first) if self.screened else done)

    def after(self, done: int) -> tuple[int, float, float]:
        """Number of finalists after `done` strategies, with the seconds of images and of timing.

        Both together take at most as long as the final scoring may.
        """
        finalists, drawn, timed = self._after(done)
        return finalists, min(drawn, max(0.0, self.scoring - timed)), timed

    def _after(self, done: int) -> tuple[int, float, float]:
        """Number of finalists, and both times, without that bound."""
        config, spending = self._config, self.spending
        baselines = self.baselines[self.initial_count(done)]
        # Baselines that the search passed over are scored where the budget has room for them.
        roomy = self._budget.evaluations is not None
        passed = self.screened and done >= self.generation.first
        held = self.baselines[-1] if roomy and passed else baselines
        finalists = min(config.export, held) + min(config.export, done - baselines)
        images = levels.expected(finalists, config.heldout_images)
        drawn = spending.predict_generation(self.best, images) + self.owed
        return finalists, drawn, spending.predict_timing(finalists * self.best)

    def evaluations(self) -> tuple[Counts, float, int]:
        """Evaluations that the budget suffices for.

        Returns:
            Number of evaluations by number of images; their seconds; their number of strategies.
        """
        budget, found = self._budget, (dict.fromkeys(self._ladder, 0), 0.0, 0)
        for counts, seconds, done in self._grow():
            if budget.evaluations is not None:
                full = sum(found[0].values()) >= budget.evaluations
            else:
                assert budget.seconds is not None
                full = self._whole(seconds, done) > budget.seconds
            if full:
                break
            found = counts, seconds, done
        return found

    def enough(self) -> float:
        """Seconds of a run that proposes as many new strategies as it has initial ones."""
        for _, seconds, done in self._grow():
            if 2 * self.initial_count(done) <= done:
                most = (self.before + seconds) * plan.SCORING / (1 - plan.SCORING)
                return self.before + seconds + min(sum(self._after(done)[1:]), most)
        raise AssertionError("initial strategies are finite")

    def _whole(self, seconds: float, done: int) -> float:
        _, drawing, timing = self.after(done)
        return self.before + seconds + drawing + timing

    def _grow(self) -> Iterator[tuple[Counts, float, int]]:
        """Evaluations of ever longer searches, as `evaluations` returns them."""
        ladder = self._ladder
        done, seconds, counts = 0, 0.0, dict.fromkeys(ladder, 0)
        latencies = 0.0
        while True:
            grown = self.initial_count(done) == self.initial_count(done + 1)
            place = self.initial_count(done)
            latency = self.later if grown else self.initial_latencies[place]
            timing = self.later_timing if grown else self.first_timing[place]
            cost, after = (
                self.spending.predict_generation(latency, ladder[0]) + timing,
                counts | {ladder[0]: done + 1},
            )
            latencies += latency
            for rung, below in zip(ladder[1:], ladder, strict=False):
                after[rung] = after[below] // REDUCTION
                drawn = (after[rung] - counts[rung]) * (rung - below)
                # What is promoted is on the front, which has slow ones and fast ones.
                cost += self.spending.predict_generation(latencies / (done + 1), drawn)
            done, seconds, counts = done + 1, seconds + cost, after
            yield counts, seconds, done
