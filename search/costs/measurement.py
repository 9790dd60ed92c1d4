"""What a search measures of its device before it evaluates anything, noted in the study."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluate.latency import LatencyTable, make_table, uncertainty
from search.costs import unmeasurable as untimed
from search.costs.budget_plan import Plan
from search.costs.cost_tracker import STEADY, TURNS, Spending, patience
from search.costs.forecast import Forecast, bred
from search.costs.probe_strategies import probes
from search.images import unaccelerated as drawing
from search.proposers.generation_strategy import FIRST
from search.workers.executor import LATE
from search.workers.worker import Request
from strategies import StrategyError, dump

if TYPE_CHECKING:
    from search.engine.engine import Engine

LEAST = 3  # Turns of the latency table, the one that warms up among them.


def open_workers(engine: Engine) -> None:
    """Start the workers, on the kind of device that the study's latencies are of.

    Raises:
        StrategyError: they are on another.
    """
    engine.say("starting workers")
    engine.executor.report = engine.say
    device, former = engine.executor.open(), engine.study.noted("device")
    if former is None:
        engine.study.note("device", device)
    elif former != device:
        raise StrategyError(
            f"the run's latencies are of {former!r}, and the workers are on {device!r}; go on "
            f"there, or start a new run here with --warm-start {engine.folder}"
        )


def latency_table(engine: Engine) -> LatencyTable:
    """The latency table, measured where the study has none: in turns until it stands."""
    study = engine.study
    if study.noted("table") is None:
        turns: list[Any] = []
        seconds, limit = 0.0, engine.config.timeout
        notes: dict[str, Any] = {}
        sound: untimed.Sound | None = None
        while len(turns) < TURNS and not _stands(turns):
            turn = len(turns)
            engine.say(f"measuring latency, turn {turn + 1} of at most {TURNS}")
            asked = replace(table_turn(engine, turn, sound), limit=limit)
            outcome = engine.executor.alone(asked)
            seconds += outcome.seconds
            if not outcome.error:
                limit = engine.config.timeout or patience(outcome.seconds)
                turns.append(outcome.value)
            elif sound is not None or outcome.error.startswith(LATE):
                engine.must(outcome, "measuring the latency table")
            else:
                sound, turns = untimed.find(engine, "table_turn"), []
                seconds += sound.seconds
        calls, around = zip(*turns, strict=True)
        table = make_table(calls, around, study.noted("device"), engine.config.model.share)
        if sound is not None:
            notes[untimed.NOTE] = sound.failed
            table = _filled(table, sound.failed, engine.space.solvers)
        study.enter("table", notes | {"table": table.model_dump()}, seconds)
    return LatencyTable.model_validate(study.noted("table"))


def _stands(turns: Sequence[Any]) -> bool:
    """Whether further turns would hardly change the table."""
    return len(turns) >= LEAST and uncertainty([calls for calls, _ in turns]) <= STEADY


def _filled(
    table: LatencyTable, failed: Mapping[str, str], solvers: Collection[str]
) -> LatencyTable:
    """The table with stand-ins for what could not be timed, which nothing feasible reads.

    Proposals are ordered by latency before anybody asks whether they are feasible.
    """
    kinds = {kind: table.kinds[""] for kind in failed if kind not in solvers}
    share = max(table.solver.values())
    around = {solver: share for solver in failed if solver in solvers}
    return table.model_copy(
        update={"kinds": table.kinds | kinds, "solver": table.solver | around}
    )  # fmt: skip


def table_turn(engine: Engine, turn: int, sound: untimed.Sound | None = None) -> Request:
    """To time every kind of call once, in an order of this turn's own.

    Args:
        sound: what can be timed, where not everything can be.
    """
    solvers = list(engine.space.solvers)
    rows = probes(engine.space, turn)
    if sound is not None:
        order = np.random.default_rng(turn).permutation(len(sound.probes))
        rows, solvers = [sound.probes[index] for index in order], sound.solvers
    return Request(f"table-{turn}", "table_turn", ([dump(one) for one in rows], solvers))


def multiply_accumulates(engine: Engine) -> dict[str, float]:
    """Multiply-accumulates by kind of call, counted where the study has none."""
    study = engine.study
    if study.noted("macs") is None:
        engine.say("counting multiply-accumulates")
        texts = [dump(one) for one in probes(engine.space, 0)]
        outcome = engine.executor.alone(Request("macs", "macs", (texts,), engine.config.timeout))
        counted, seconds, notes = outcome.value, outcome.seconds, dict[str, Any]()
        if outcome.error:
            sound = untimed.find(engine, "macs")
            texts = [dump(one) for one in sound.probes]
            again = Request("macs", "macs", (texts,), engine.config.timeout)
            outcome = engine.executor.alone(again)
            engine.must(outcome, "counting multiply-accumulates")
            seconds += sound.seconds + outcome.seconds
            counted = outcome.value | dict.fromkeys(sound.failed, outcome.value[""])
            notes[untimed.NOTE] = (study.noted(untimed.NOTE) or {}) | sound.failed
        study.enter("macs", notes | {"macs": counted}, seconds)
    found: dict[str, float] = study.noted("macs")
    return found


# What is measured before the first proposal, as the study names it.
MEASURED = (
    *("repeats", "baseline-search", "baseline-search-self", "table", "macs", "memory"),
    *("sensitivity", "workers"),
)
START = "start"  # Noted: proposals before children are bred.


def plan(engine: Engine) -> Plan:
    """What the budget buys. It bounds the final scoring, and says when the proposer breeds.

    A run that goes on breeds from the proposal on that it was begun with.
    """
    study, accounts = engine.study, engine.spending
    measured = sum(map(study.seconds, MEASURED))
    owed = accounts.draw(accounts.plain, accounts.owed)
    found = Forecast(engine, accounts, measured, owed, bred(engine)).plan()
    former = study.noted(START)
    if former is None:
        former = FIRST if study.evaluations else found.start
        study.note(START, former)
    engine.proposer.first = former
    accounts.scoring = found.scoring
    return found


def spending(engine: Engine) -> Spending:
    """The accounts of a search, beginning with what the unaccelerated images have cost."""
    config, plain = engine.config, engine.base_scores["latency_s"]
    made = Spending(
        engine.budget, engine.study, engine.rungs, config.heldout_images, config.export, plain
    )
    # Earlier versions did not note how many were drawn: it was all of them.
    noted = engine.study.named(f"{drawing.DRAWN}search:").values()
    made.saw(plain, sum(noted) or config.images, engine.study.seconds("baseline-search"))
    made.owed = drawing.owed(engine, "heldout", config.heldout_images)
    return made
