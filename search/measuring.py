"""What a search measures of its device before it evaluates anything, noted in the study."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evaluate.latency import LatencyTable, make_table
from search import drawing
from search.probes import probes
from search.spending import HANGS, MINUTE, TURNS, Spending
from search.worker import Request
from strategies import StrategyError, dump

if TYPE_CHECKING:
    from search.engine import Engine


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
    """The latency table, measured where the study has none."""
    study = engine.study
    if study.noted("table") is None:
        turns, seconds, limit = [], 0.0, engine.config.timeout
        for turn in range(TURNS):
            engine.say(f"measuring latency, turn {turn + 1} of {TURNS}")
            outcome = engine.executor.alone(replace(table_turn(engine, turn), limit=limit))
            engine.must(outcome, "measuring the latency table")
            limit = engine.config.timeout or max(MINUTE, HANGS * outcome.seconds)
            turns.append(outcome.value)
            seconds += outcome.seconds
        calls, around = zip(*turns, strict=True)
        made = make_table(calls, around, study.noted("device"))
        study.enter("table", {"table": made.model_dump()}, seconds)
    return LatencyTable.model_validate(study.noted("table"))


def table_turn(engine: Engine, turn: int) -> Request:
    """To time every kind of call once, in an order of this turn's own."""
    texts = [dump(one) for one in probes(engine.space, turn)]
    return Request(f"table-{turn}", "table_turn", (texts, list(engine.space.solvers)))


def multiply_accumulates(engine: Engine) -> dict[str, float]:
    """Multiply-accumulates by kind of call, counted where the study has none."""
    study = engine.study
    if study.noted("macs") is None:
        engine.say("counting multiply-accumulates")
        texts = [dump(one) for one in probes(engine.space, 0)]
        outcome = engine.executor.alone(Request("macs", "macs", (texts,), engine.config.timeout))
        engine.must(outcome, "counting multiply-accumulates")
        study.enter("macs", {"macs": outcome.value}, outcome.seconds)
    found: dict[str, float] = study.noted("macs")
    return found


def spending(engine: Engine) -> Spending:
    """The accounts of a search, beginning with what the unaccelerated images have cost."""
    config, plain = engine.config, engine.base_scores["latency_s"]
    made = Spending(
        engine.budget, engine.study, engine.rungs, config.heldout_images, config.export, plain
    )
    made.saw(plain, config.images, engine.study.seconds("baseline-search"))
    made.owed = drawing.owed(engine, "heldout", config.heldout_images)
    return made
