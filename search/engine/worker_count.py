"""How many workers really draw more: those that share the cores of one machine slow each other.

Two processes on two busy cores may draw no more than one. What is paid for is processor time, so
such a second worker costs the budget nothing, but it takes memory, and latency beside it is worse.
"""

from __future__ import annotations

import time
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

from search.images import unaccelerated as drawing
from search.workers.worker import Request

if TYPE_CHECKING:
    from search.engine.engine import Engine

NOTE = "workers"  # Noted: how many there were, how many times the images of one they drew.
now = time.monotonic
ROUNDS = 3  # Of drawing alone and together.
ENOUGH = 0.15  # Part of a worker's images below which one more is not worth it.


def settle(engine: Engine) -> None:
    """Use as many of the workers as really draw more, and say so; measured once for each number."""
    executor, study = engine.executor, engine.study
    if not executor.crowded or executor.slots < 2:
        return
    noted = study.noted(NOTE)
    if noted is None or noted["there"] != executor.slots:
        noted, seconds = _measured(engine)
        study.enter(NOTE, {NOTE: noted}, study.seconds(NOTE) + seconds)
    executor.most = min(noted["there"], max(1, ceil(noted["gain"] - ENOUGH)))
    engine.tell(
        f"{noted['there']} workers draw {noted['gain']:.1f} times what one draws; "
        f"{executor.most} {'is' if executor.most == 1 else 'are'} used"
    )


def _measured(engine: Engine) -> tuple[dict[str, Any], float]:
    """What all workers draw at once beside what one draws, and the device time of finding out."""
    executor, config = engine.executor, engine.config
    seeds = [one for _, one in engine.proposer.seeds] or [engine.baseline]
    fast, seconds = min(seeds, key=engine.table.predict), 0.0
    count = min(-(-config.model.batch // 2), config.images)
    one = drawing.request(engine, NOTE, fast, "search", count, limit=engine.patience(count))

    def together(number: int) -> float:
        """Seconds on the clock of so many workers, each with one batch."""
        nonlocal seconds
        began = now()
        asked: list[Request] = [replace(one, key=f"{NOTE}-{index}") for index in range(number)]
        for _, outcome in executor.each(asked):
            engine.must(outcome, "drawing with all workers")
            engine.spending.saw(engine.table.predict(fast), count, outcome.seconds)
            seconds += outcome.seconds
        return now() - began

    engine.say("seeing how many workers draw more than one")
    there = executor.slots
    together(there)  # Warms all of them up.
    # Other programs only ever make it longer, so the shortest times say what can be drawn.
    rounds = [(together(1), together(there)) for _ in range(ROUNDS)]
    alone, every = (min(column) for column in zip(*rounds, strict=True))
    return {"there": there, "gain": there * alone / every}, seconds
