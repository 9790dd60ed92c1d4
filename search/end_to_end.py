"""End-to-end timing of the finalists: interleaved turns, without those that cannot be timed.

A turn times one image with each strategy. Where a turn fails, every strategy is timed by itself;
those that fail are noted and left out, and the others go on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from search import failures
from search.failures import NOTES, SearchError
from search.spending import REPEATS
from search.worker import Outcome, Request
from strategies import Strategy, dump

if TYPE_CHECKING:
    from search.engine import Engine

LEAST = 2  # Timings after the warm-up, where the budget has no room for more.
TRIES = 3  # Turns that may fail although every strategy by itself does not.
TURNS = "end-to-end:"  # What the turns of some strategies are noted under.
NOTE = NOTES[failures.END_TO_END]
Named = tuple[Strategy, str]  # With its origin.


def measure(engine: Engine, rows: Sequence[Named]) -> dict[str, list[float]]:
    """Seconds by digest, of the unaccelerated pipeline and of all strategies that can be timed.

    What was timed together is timed once: a run that is resumed reads it from its study.

    Args:
        rows: strategies with their origins.

    Raises:
        SearchError: the unaccelerated pipeline cannot be timed.
    """
    left: list[Named] = [(engine.baseline, ""), *rows]
    if engine.study.noted(_name(left)) is None:
        left, turns, seconds = _turns(engine, left)
        engine.study.enter(_name(left), {_name(left): turns}, seconds)
    columns = zip(*engine.study.noted(_name(left))[1:], strict=True)
    return {one.digest: list(times) for (one, _), times in zip(left, columns, strict=True)}


def _name(rows: Sequence[Named]) -> str:
    digests = "\n".join(one.digest for one, _ in rows)
    return f"{TURNS}{hashlib.sha256(digests.encode()).hexdigest()[:16]}"


def _turns(engine: Engine, left: list[Named]) -> tuple[list[Named], list[list[float]], float]:
    """What could be timed, its seconds turn by turn, and the device time that it took."""
    turns: list[dict[str, float]] = []
    failed, seconds = 0, 0.0
    while len(turns) <= REPEATS:
        number = len(turns) + 1
        if number > LEAST + 1 and sum(turns[-1].values()) > engine.spending.left() - seconds:
            break
        engine.say(f"measuring latency end to end, turn {number} of {REPEATS + 1}")
        outcome = _ask(engine, f"end-to-end-{number}", left)
        seconds += outcome.seconds
        if not outcome.error:
            pairs = zip(left, outcome.value, strict=True)
            turns.append({one.digest: taken for (one, _), taken in pairs})
            continue
        failed += 1
        sound = [row for row in left if _times(engine, row)]
        if len(sound) == len(left) and failed == TRIES:
            raise SearchError(
                f"timing all finalists end to end failed {TRIES} times, although each can be timed "
                f"by itself: {outcome.error}; go on with: python -m search --resume {engine.folder}"
            )
        left = sound
    rows = [[turn[one.digest] for one, _ in left] for turn in turns]
    return left, rows, seconds


def _times(engine: Engine, row: Named) -> bool:
    """Whether a strategy can be timed by itself; one that cannot is noted."""
    strategy, origin = row
    key = f"end-to-end-{strategy.digest[:12]}"
    outcome = _ask(engine, key, [row])
    name = f"{NOTE}{strategy.digest}"
    taken = engine.study.seconds(name) + outcome.seconds
    if not outcome.error:
        engine.study.enter(name, {}, taken)
        return True
    if strategy.digest == engine.baseline.digest:
        engine.study.enter(name, {}, taken)
        raise SearchError(
            "the unaccelerated pipeline failed while it was timed end to end by itself: "
            f"{outcome.error}; mend that and go on with: python -m search --resume {engine.folder}"
        )
    engine.study.enter(name, {name: failures.noted(strategy, origin, outcome.error)}, taken)
    return False


def _ask(engine: Engine, key: str, rows: Sequence[Named]) -> Outcome:
    """Seconds of one image with each strategy; a time that is none is an error."""
    texts = [dump(strategy) for strategy, _ in rows]
    limit = engine.limit(sum(engine.table.predict(strategy) for strategy, _ in rows), 1)
    outcome = engine.executor.alone(Request(key, "end_to_end", (texts,), limit))
    wrong = [t for t in outcome.value or () if not (math.isfinite(t) and t > 0)]
    if wrong:
        return Outcome(None, f"took {wrong[0]} s, which is no time", outcome.seconds)
    return outcome
