"""What a search will cost, from a few measurements: `--dry-run`.

Measured are a batch of unaccelerated images, a batch with a seed of middling latency, and two turns
of the latency table, of which the first warms up. The rest follows: what the seeds cost by the
table, what proposals cost by the strategies drawn evenly that the search starts with (where nothing
is screened, also by asking the proposer as if all seeds were equally good), and the final scoring
of as many strategies as may be exported.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from evaluate.speed.latency_measurement import make_table
from search.costs.cost_prediction import Prediction
from search.costs.cost_tracker import CostTracker
from search.costs.forecast import Forecast, bred, equally_good
from search.costs.measurement import LEAST
from search.engine.engine import Engine
from search.initial.design import RANDOM
from search.initial.sensitivity_schedules import SensitivitySchedules
from search.objectives.objectives import needed
from search.proposers.generation_strategy import Waiting
from search.study.required import require_success
from search.workers.worker import Outcome, Request
from strategies import Strategy

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
        require_success(outcome, engine.folder)
        spent += outcome.seconds
        return outcome

    ask(engine.device.table_turn(0))
    turn = ask(engine.device.table_turn(1))
    calls, around = turn.value
    latency = make_table([{}, calls], [[], around], device, config.model.share).predict
    engine.proposer.learn(latency)
    plain, seeds = latency(engine.baseline), [one for _, one in engine.proposer.seeds]
    batch = min(config.model.batch, config.images)
    base = ask(engine.images.request("base", engine.baseline, "search", batch)).seconds / batch
    middle = sorted(seeds, key=latency)[len(seeds) // 2] if seeds else engine.baseline
    spending = CostTracker(
        engine.budget, engine.study, engine.rungs, config.heldout_images, config.export, plain
    )
    drawn = ask(engine.images.request("middle", middle, "search", batch))
    spending.saw(latency(middle), batch, drawn.seconds)

    table, others = (LEAST + 1) * turn.seconds, _others(engine, latency, spending, turn.seconds)
    images = base * engine.images.owed("search", config.images)
    before = images + table + others + 2 * base  # The first prompt is drawn twice.
    owed = base * engine.images.owed("heldout", config.heldout_images)
    forecast = Forecast(
        config, engine.proposer, latency, engine.baseline, spending, before, owed,
        _proposals(engine, latency),
    )  # fmt: skip
    plan = forecast.plan()
    evaluations, search, done = forecast.evaluations()
    finalists, after, timed = forecast.after(done)
    shared = images + others + search + after
    return Prediction(
        device=device,
        measured=spent,
        before=before,
        search=search,
        after=after + timed,
        evaluations=evaluations,
        seeds=forecast.seeded(done),
        finalists=finalists,
        wall=start_up + shared / executor.slots + table + timed,
        workers=executor.slots,
        plan=plan,
    )


def _others(
    engine: Engine, latency: Callable[[Strategy], float], spending: CostTracker, turn: float
) -> float:
    """Multiply-accumulates and sensitivity, where they are asked for."""
    config, found = engine.config, 0.0
    if "macs" in needed(config.objectives, config.constraints):
        found += turn
    if config.sensitivity:
        asked = SensitivitySchedules(engine.space, engine.baseline.solver_text).asked()
        latencies = sum(map(latency, asked))
        found += spending.draw(latencies, config.sensitivity)
    return found


def _proposals(engine: Engine, latency: Callable[[Strategy], float]) -> list[Strategy]:
    """Such as are bred; where nothing is screened, also the children of seeds that are equally
    good.
    """
    drawn = bred(engine.proposer, latency, engine.config.surrogate)
    if engine.config.surrogate and drawn:
        return drawn
    drawn = [one for origin, one in engine.proposer.seeds if origin == RANDOM]
    finished = equally_good(engine.proposer, latency, len(engine.config.objectives))
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
