"""From the search's front to the exported one: who is scored again on held-out prompts."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluate.reading import Sample
from evaluate.statistics import ScoreError
from search import drawing, gallery
from search.contenders import is_rival
from search.front import nondominated, spread
from search.goals import Goals, more_is_better
from search.spending import REPEATS
from search.study import Evaluation, comparable
from search.worker import Outcome, Request
from strategies import Strategy, dump

if TYPE_CHECKING:
    from search.engine import Engine

HELDOUT = "heldout:"  # What a finalist's figures are noted under, with its digest.
LEAST = 2  # End-to-end timings after the warm-up, where the budget has no room for more.
ACCURACIES = ("right_shape", "right_colour", "right_position")


@dataclass(frozen=True)
class Final:
    """A strategy scored on held-out prompts.

    Attributes:
        role: `unaccelerated`, `baseline` or `front`.
        scores: on held-out prompts, with measured `latency_s` and `speedup`.
        intervals: `[value, low, high]` by name.
        objectives: as in the search.
        violation: how far outside the constraints; only what keeps them is exported.
        lossless: see `lossless`.
    """

    role: str
    origin: str
    strategy: Strategy
    scores: dict[str, float]
    intervals: dict[str, list[float]]
    objectives: tuple[float, ...] = ()
    violation: float = 0.0
    lossless: bool | None = None


def lossless(final: Final, yardstick: str | None) -> bool | None:
    """Whether no loss could be measured: by its paired 95 % interval, the figure that shows a loss
    is not worse than the unaccelerated model's, and no caption accuracy is lower by more than one
    point. None where the search has no such figure.
    """
    if yardstick is None:
        return None
    _, low, high = final.intervals.get(f"{yardstick}_change", [0.0, 0.0, 0.0])
    if high < 0 if more_is_better(yardstick) else low > 0:
        return False
    names = [f"{name}_change" for name in ACCURACIES]
    return all(final.intervals[name][0] >= -0.01 for name in names if name in final.intervals)


def choose(engine: Engine) -> tuple[list[Evaluation], list[Evaluation]]:
    """Strategies for the exported front, and baselines to hold against them.

    Both are the points that dominate most on the search's own scores, at most `export` each, the
    most valuable first. Where the baselines that the search scored leave room, those follow that it
    passed over and that should count by what its surrogate expects.
    """
    good, count = comparable(engine.study.evaluations), engine.config.export
    mine = pick([e for e in good if not is_rival(e)], engine.reference, count)
    rivals = pick([e for e in good if is_rival(e)], engine.reference, count)
    more = pick([*rivals, *_passed_over(engine, good)], engine.reference, count)
    return mine, [*rivals, *(e for e in more if not e.images)][:count]


def _passed_over(engine: Engine, good: list[Evaluation]) -> list[Evaluation]:
    """Baselines that were not scored on all images, as if they had been."""
    if not good or good[0].images < engine.rungs[-1]:
        return []  # What is expected on the top rung cannot be held against a lower one.
    tables = engine.costs(engine.baseline)
    if any(limit.name not in tables for limit in engine.goals.limits):
        return []  # Nobody knows whether they keep it, and they would stand in for who does.
    known = {e.strategy.digest for e in good} | {engine.baseline.digest}
    return [
        Evaluation(-1, origin, (), strategy, engine.costs(strategy), "", 0.0, losses, 0.0, 0)
        for origin, strategy, losses in engine.proposer.passed_over(engine.study.evaluations)
        if strategy.digest not in known
    ]


def pick(rows: list[Evaluation], reference: tuple[float, ...], count: int) -> list[Evaluation]:
    """At most `count` evaluations that together dominate most."""
    if not rows:
        return []
    points = np.array([row.objectives for row in rows])
    return [rows[index] for index in spread(points, reference, count)]


def finish(engine: Engine) -> list[Final]:
    """Score the finalists on held-out prompts and time them end to end.

    What a former run of the same study has already scored is not scored again. Where the budget has
    no room for all, the least valuable are left out; `engine.unscored` counts them.
    """
    best, rivals = choose(engine)
    scored = [e for e in rivals if e.images]
    pairs = itertools.zip_longest(best, scored)
    rows = {e.strategy.digest: e for pair in pairs for e in pair if e is not None}
    # No budget is kept for what the search passed over; it comes last, where there is room.
    rows |= {e.strategy.digest: e for e in rivals if not e.images}
    count = engine.config.heldout_images
    engine.scoring["heldout"] = drawing.scoring(engine, "heldout", count)
    base = drawing.unaccelerated(engine, "heldout", count)
    _score_heldout(engine, rows, base)
    found = {digest: engine.study.noted(f"{HELDOUT}{digest}") for digest in rows}
    engine.unscored = sum(one is None and rows[d].images > 0 for d, one in found.items())
    good = [rows[digest] for digest, one in found.items() if one and not one["error"]]
    times = _time(engine, good)
    plain = {
        "role": "unaccelerated",
        "scores": engine.scoring["heldout"].score(base, base),
        "intervals": {},
    }
    finals = [_final(engine, engine.baseline, "", plain, times)]
    goals = engine.make_goals(finals[0].scores)
    yardstick = engine.figures.yardstick
    finals[0] = _judged(finals[0], goals, yardstick)
    roles = {e.strategy.digest: "baseline" for e in rivals}
    for evaluation in good:
        digest = evaluation.strategy.digest
        scored = found[digest] | {"role": roles.get(digest, "front")}
        final = _final(engine, evaluation.strategy, evaluation.origin, scored, times)
        finals.append(_judged(final, goals, yardstick))
    return finals


def _score_heldout(engine: Engine, rows: dict[str, Evaluation], base: Sample) -> None:
    """Draw and score what is not scored yet, as far as the budget goes."""
    count, spending = engine.config.heldout_images, engine.spending
    missing = [d for d in rows if engine.study.noted(f"{HELDOUT}{d}") is None]
    todo, scored = set(missing), len(rows) - len(missing)
    running: dict[str, float] = {}
    latency = {digest: row.scores["latency_s"] for digest, row in rows.items()}

    def wanted() -> Iterator[Request]:
        for digest in missing:
            cost = spending.draw(latency[digest], count)
            timed = [x for d, x in latency.items() if d not in todo or d == digest]
            ahead = sum(running.values()) + cost + spending.timing(sum(timed))
            if len(missing) - len(todo) + scored and ahead > spending.left():
                continue
            todo.remove(digest)
            running[digest] = cost
            engine.say(f"scoring on held-out prompts, {len(todo) + len(running)} to go")
            limit = engine.limit(latency[digest], count)
            strategy = rows[digest].strategy
            yield drawing.request(engine, digest, strategy, "heldout", count, limit=limit)

    for request, outcome in engine.executor.each(wanted()):
        del running[request.key]
        if outcome.value is not None:
            spending.saw(latency[request.key], count, outcome.seconds)
        _note(engine, request.key, outcome, base)


def _note(engine: Engine, digest: str, outcome: Outcome, base: Sample) -> None:
    found: dict[str, Any] = {"error": outcome.error}
    if outcome.value is not None:
        gallery.keep(engine.folder, digest, outcome.value)
        try:
            scoring = engine.scoring["heldout"]
            found["scores"] = scoring.score(outcome.value, base)
            found["intervals"] = scoring.intervals(outcome.value, base)
        except ScoreError as broken:
            found = {"error": str(broken)}
    name = f"{HELDOUT}{digest}"
    engine.study.enter(name, {name: found}, outcome.seconds)
    engine.events.scored(digest, found)


def _time(engine: Engine, rows: list[Evaluation]) -> dict[str, list[float]]:
    """End-to-end seconds by digest: interleaved turns, of which the first warms up.

    What was timed together is timed once: a run that is resumed reads it from its study.
    """
    strategies = [engine.baseline, *(row.strategy for row in rows)]
    digests = [strategy.digest for strategy in strategies]
    series = hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]
    name = f"end-to-end:{series}"
    if engine.study.noted(name) is None:
        turns, seconds = _turns(engine, strategies)
        engine.study.enter(name, {name: turns}, seconds)
    turns = engine.study.noted(name)
    return {d: list(times) for d, times in zip(digests, zip(*turns[1:], strict=True), strict=True)}


def _turns(engine: Engine, strategies: list[Strategy]) -> tuple[list[list[float]], float]:
    """Seconds of each strategy, turn by turn, and the device time that it took."""
    texts = [dump(strategy) for strategy in strategies]
    limit = engine.limit(sum(map(engine.table.predict, strategies)), 1)
    turns: list[list[float]] = []
    seconds = 0.0
    while len(turns) <= REPEATS:
        number = len(turns) + 1
        if number > LEAST + 1 and sum(turns[-1]) > engine.spending.left() - seconds:
            break
        engine.say(f"measuring latency end to end, turn {number} of {REPEATS + 1}")
        request = Request(f"end-to-end-{number}", "end_to_end", (texts,), limit)
        outcome = engine.executor.alone(request)
        engine.must(outcome, "measuring latency end to end")
        seconds += outcome.seconds
        turns.append(outcome.value)
    return turns, seconds


def _final(
    engine: Engine,
    strategy: Strategy,
    origin: str,
    found: dict[str, Any],
    times: dict[str, list[float]],
) -> Final:
    mine, plain = times[strategy.digest], times[engine.baseline.digest]
    latency = float(np.median(mine))
    timed = {
        "latency_s": latency,
        "latency_table_s": engine.table.predict(strategy),
        "latency_spread_s": float(np.subtract(*np.quantile(mine, [0.75, 0.25])) / 2),
        "speedup": float(np.median(plain)) / latency,
    }
    if engine.macs is not None:
        timed["macs"] = engine.costs(strategy)["macs"]
    role = str(found["role"])
    return Final(role, origin, strategy, found["scores"] | timed, found["intervals"])


def _judged(final: Final, goals: Goals, yardstick: str | None) -> Final:
    losses, violation = goals.losses(final.scores), goals.violation(final.scores)
    fine = lossless(final, yardstick)
    return replace(final, objectives=losses, violation=violation, lossless=fine)


def front(finals: list[Final]) -> list[Final]:
    """The finals that no other dominates on held-out prompts, fastest first.

    A point that a baseline dominates is not on it; a baseline that nothing dominates is. What
    breaks a constraint on held-out prompts, or end to end, is not.
    """
    rows = [final for final in finals if final.role != "unaccelerated" and final.violation <= 0]
    points = np.array([final.objectives for final in rows], dtype=float)
    chosen = [rows[index] for index in nondominated(points)]
    return sorted(chosen, key=lambda final: final.scores["latency_s"])
