"""What a search will cost, from a few measurements: `--dry-run`.

Measured are a batch of unaccelerated images, a batch with a seed of middling latency, and two turns
of the latency table, of which the first warms up. The rest follows: what the seeds cost by the
table, what proposals cost by the strategies drawn evenly that the search starts with (where nothing
is screened, also by asking the proposer as if all seeds were equally good), and the final scoring
of as many strategies as may be exported.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from math import log
from statistics import fmean
from typing import TYPE_CHECKING

from evaluate.latency import make_table
from search import drawing
from search.contenders import is_rival
from search.goals import needed
from search.measuring import table_turn
from search.prediction import Prediction
from search.proposer import FIRST, Waiting
from search.rungs import REDUCTION
from search.sensitivity import Sensitivity
from search.spending import TURNS, Spending
from search.start import RANDOM
from search.study import Evaluation
from search.worker import Outcome, Request
from strategies import Strategy

if TYPE_CHECKING:
    from search.engine import Engine

ASKED = 48  # Proposals whose latencies are averaged.


def predict(engine: Engine) -> Prediction:
    """Measure a little and predict a run that has not begun.

    Args:
        engine: of a study that is empty and will not be kept.
    """
    config, executor = engine.config, engine.executor
    began = time.monotonic()
    device, spent = executor.open(), 0.0
    start_up = time.monotonic() - began

    def ask(request: Request) -> Outcome:
        nonlocal spent
        outcome = executor.alone(request)
        engine.must(outcome)
        spent += outcome.seconds
        return outcome

    ask(table_turn(engine, 0))
    turn = ask(table_turn(engine, 1))
    calls, around = turn.value
    engine.table = make_table([{}, calls], [[], around], device)
    latency = engine.table.predict
    engine.proposer.learn(latency)
    plain, seeds = latency(engine.baseline), [one for _, one in engine.proposer.seeds]
    batch = min(config.model.batch, config.images)
    base = ask(drawing.request(engine, "base", engine.baseline, "search", batch)).seconds / batch
    middle = sorted(seeds, key=latency)[len(seeds) // 2] if seeds else engine.baseline
    spending = Spending(
        engine.budget, engine.study, engine.rungs, config.heldout_images, config.export, plain
    )
    drawn = ask(drawing.request(engine, "middle", middle, "search", batch))
    spending.saw(latency(middle), batch, drawn.seconds)

    table, others = TURNS * turn.seconds, _others(engine, spending, turn.seconds)
    images = base * drawing.owed(engine, "search", config.images)
    before = images + table + others + 2 * base  # The first prompt is drawn twice.
    plan = _Plan(engine, spending, base, proposals=_proposals(engine) or seeds)
    evaluations, search, done = plan.evaluations(before)
    finalists, after, timed = plan.after(done)
    shared = images + others + search + after
    beyond = done - plan.seeded(done)
    timeless = engine.budget.seconds is None
    return Prediction(
        device=device,
        measured=spent,
        before=before,
        search=search,
        after=after + timed,
        evaluations=evaluations,
        seeds=plan.seeded(done),
        finalists=finalists,
        wall=start_up + shared / executor.slots + table + timed,
        workers=executor.slots,
        beyond=beyond,
        enough=None if beyond or timeless else plan.enough(before),
    )


def _others(engine: Engine, spending: Spending, turn: float) -> float:
    """Multiply-accumulates and sensitivity, where they are asked for."""
    config, found = engine.config, 0.0
    if "macs" in needed(config.objectives, config.constraints):
        found += turn
    if config.sensitivity:
        asked = Sensitivity(engine, config.sensitivity).asked()
        latencies = sum(engine.table.predict(one) for one in asked)
        found += spending.draw(latencies, config.sensitivity)
    return found


def _equally_good(engine: Engine) -> list[Evaluation]:
    """The seeds as if each were the best at its latency."""
    rows = []
    for number, (origin, one) in enumerate(engine.proposer.seeds):
        seconds = engine.table.predict(one)
        objectives = (-seconds, *(seconds for _ in engine.config.objectives[1:]))
        genome = engine.space.encode(one)
        scores = {"latency_s": seconds}
        images = engine.rungs[-1]
        rows.append(
            Evaluation(number, origin, genome, one, scores, "", 0.0, objectives, 0.0, images)
        )
    return rows


def _proposals(engine: Engine) -> list[Strategy]:
    """Such as are bred: where they are screened, about as fast as the faster half of what is drawn
    evenly, else between all of that and children of seeds that are equally good.
    """
    drawn = [one for origin, one in engine.proposer.seeds if origin == RANDOM]
    if drawn and engine.config.surrogate:
        return sorted(drawn, key=engine.table.predict)[: (len(drawn) + 1) // 2]
    finished = _equally_good(engine)
    taken, found = {one.strategy.digest for one in finished}, list[Strategy]()
    for number in range(len(finished), len(finished) + ASKED):
        try:
            proposal = engine.proposer.propose(number, finished, taken)
        except Waiting:
            break
        if proposal is None:
            break
        taken.add(proposal.mark)
        found.append(proposal.strategy)
    return drawn + found


def _evenly(fast: float, slow: float) -> float:
    """The mean latency of a front, whose strategies are spread evenly by speedup's logarithm."""
    return (slow - fast) / log(slow / fast) if 0 < fast < slow else slow


class _Plan:
    """How far the budget goes.

    Args:
        base: seconds of one unaccelerated image.
        proposals: what is evaluated after the seeds is like these.
    """

    def __init__(
        self, engine: Engine, spending: Spending, base: float, proposals: Sequence[Strategy]
    ) -> None:
        self.engine, self.spending, self.base = engine, spending, base
        self.screened = engine.config.surrogate and engine.proposer.source.mixed
        self.owed = drawing.owed(engine, "heldout", engine.config.heldout_images)
        rows, latency = _equally_good(engine), engine.table.predict
        self.seeds = [row.scores["latency_s"] for row in rows]
        # After so many seeds, how many of them are baselines.
        self.rivals = list(itertools.accumulate((is_rival(row) for row in rows), initial=0))
        self.later = fmean(map(latency, proposals)) if proposals else latency(engine.baseline)
        self.best = _evenly(min([*self.seeds, self.later]), latency(engine.baseline))

    def seeded(self, done: int) -> int:
        """How many of so many strategies are seeds; a surrogate chooses few."""
        return self.engine.proposer.seeded(min(done, FIRST) if self.screened else done)

    def after(self, done: int) -> tuple[int, float, float]:
        """After so many strategies: how many finalists, and the seconds of
        drawing and of timing them.
        """
        config, spending = self.engine.config, self.spending
        rivals = self.rivals[self.seeded(done)]
        # Baselines that the search passed over are scored where the budget has room for them.
        roomy = self.engine.budget.evaluations is not None
        held = self.rivals[-1] if roomy and self.screened and done >= FIRST else rivals
        finalists = min(config.export, held) + min(config.export, done - rivals)
        latencies = finalists * self.best
        drawn = spending.draw(latencies, config.heldout_images) + self.base * self.owed
        return finalists, drawn, spending.timing(latencies)

    def evaluations(self, before: float) -> tuple[dict[int, int], float, int]:
        """How many evaluations the budget has room for by number of images, their seconds, and how
        many strategies they are of.

        Args:
            before: seconds that are spent before the first.
        """
        budget, found = self.engine.budget, (dict.fromkeys(self.engine.rungs, 0), 0.0, 0)
        for counts, seconds, done in self._grow():
            if budget.evaluations is not None:
                full = sum(found[0].values()) >= budget.evaluations
            else:
                assert budget.seconds is not None
                full = self._whole(before, found[1], found[2]) > budget.seconds
            if full:
                break
            found = counts, seconds, done
        return found

    def enough(self, before: float) -> float:
        """Seconds of a whole run in which as many strategies are proposed as there are seeds."""
        for _, seconds, done in self._grow():
            if 2 * self.seeded(done) <= done:
                return self._whole(before, seconds, done)
        raise AssertionError("seeds are finite")

    def _whole(self, before: float, seconds: float, done: int) -> float:
        _, drawing, timing = self.after(done)
        return before + seconds + drawing + timing

    def _grow(self) -> Iterator[tuple[dict[int, int], float, int]]:
        """Ever longer searches: evaluations by number of images, their seconds, and how many
        strategies they are of.
        """
        ladder = self.engine.rungs
        done, seconds, counts = 0, 0.0, dict.fromkeys(ladder, 0)
        while True:
            bred = self.seeded(done) == self.seeded(done + 1)
            latency = self.later if bred else self.seeds[self.seeded(done)]
            cost, after = self.spending.draw(latency, ladder[0]), counts | {ladder[0]: done + 1}
            for rung, below in zip(ladder[1:], ladder, strict=False):
                after[rung] = after[below] // REDUCTION
                drawn = (after[rung] - counts[rung]) * (rung - below)
                cost += self.spending.draw(self.best, drawn)
            done, seconds, counts = done + 1, seconds + cost, after
            yield counts, seconds, done
