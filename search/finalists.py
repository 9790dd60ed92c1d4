"""From the search's front to the exported one: who is scored again on held-out prompts."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluate.reading import Sample
from evaluate.statistics import ScoreError
from search import drawing, end_to_end, failures, gallery, gate, untimed
from search.contenders import is_rival
from search.front import nondominated, spread
from search.goals import Goals
from search.study import Evaluation, comparable
from search.worker import Outcome, Request
from strategies import Strategy

if TYPE_CHECKING:
    from search.engine import Engine

HELDOUT = "heldout:"  # What a finalist's figures are noted under, with its digest.


@dataclass(frozen=True)
class Final:
    """A strategy scored on held-out prompts.

    Attributes:
        role: `unaccelerated`, `baseline` or `front`.
        scores: on held-out prompts, with measured `latency_s` and `speedup`.
        intervals: `[value, low, high]` by name.
        objectives: as in the search.
        violation: how far outside the constraints; only what keeps them is exported.
    """

    role: str
    origin: str
    strategy: Strategy
    scores: dict[str, float]
    intervals: dict[str, list[float]]
    objectives: tuple[float, ...] = ()
    violation: float = 0.0


def choose(
    engine: Engine, failed: Collection[str] = ()
) -> tuple[list[Evaluation], list[Evaluation]]:
    """Strategies for the exported front, and baselines to hold against them.

    Both are the points that dominate most on the search's own scores, at most `export` each, the
    most valuable first. Where the baselines that the search scored leave room, those follow that it
    passed over and that should count by what its surrogate expects.

    Args:
        failed: digests of finalists that failed; they make room for the next ones.
    """
    count = engine.config.export
    good = [
        e for e in comparable(engine.study.evaluations) if e.strategy.digest not in failed
    ]  # fmt: skip
    mine = pick([e for e in good if not is_rival(e)], engine.reference, count)
    rivals = pick([e for e in good if is_rival(e)], engine.reference, count)
    over = [
        e
        for e in _passed_over(engine, good)
        if e.strategy.digest not in failed and not gate.unsound({"a loss": e.objectives})
    ]
    more = pick([*rivals, *over], engine.reference, count)
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
        if strategy.digest not in known and not untimed.reason(engine.study, strategy)
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
    no room for all, the least valuable are left out; `engine.unscored` counts them. A finalist that
    fails makes room for the next one of the front.

    Raises:
        SearchError: no finalist could be scored, or no candidate of the search.
    """
    failures.see_that_any_succeeded(engine.study, engine.folder)
    failures.forget_if_all(engine.study)
    count = engine.config.heldout_images
    engine.scoring["heldout"] = drawing.scoring(engine, "heldout", count)
    base = drawing.unaccelerated(engine, "heldout", count)
    gate.unaccelerated_images(base)
    plain = gate.unaccelerated_scores(engine.scoring["heldout"], base)
    while True:
        failed = failures.finalists(engine.study)
        rows, rivals = _chosen(engine, failed)
        _score_heldout(engine, rows, base)
        found = {digest: _noted(engine, digest) for digest in rows}
        good = [rows[digest] for digest, one in found.items() if one and not one["error"]]
        now = failures.finalists(engine.study)
        if now != failed and _room(engine, now, good):
            continue
        if now and not good:
            raise failures.SearchError(failures.none_left(engine.study, engine.folder))
        times = end_to_end.measure(engine, [(row.strategy, row.origin) for row in good])
        good = [row for row in good if row.strategy.digest in times]
        after = failures.finalists(engine.study)
        if after != now and _room(engine, after, good):
            continue
        if after and not good:
            raise failures.SearchError(failures.none_left(engine.study, engine.folder))
        break
    engine.unscored = sum(one is None and rows[d].images > 0 for d, one in found.items())
    first = {"role": "unaccelerated", "scores": plain, "intervals": {}}
    finals = [_final(engine, engine.baseline, "", first, times)]
    goals = engine.make_goals(finals[0].scores)
    finals[0] = _judged(finals[0], goals)
    for evaluation in good:
        digest = evaluation.strategy.digest
        scored = found[digest] | {"role": "baseline" if digest in rivals else "front"}
        final = _final(engine, evaluation.strategy, evaluation.origin, scored, times)
        finals.append(_judged(final, goals))
    return finals


def _room(engine: Engine, failed: Collection[str], good: Collection[Evaluation]) -> bool:
    """Whether further finalists take the places of those that failed."""
    return len(failed) <= 2 * engine.config.export if good else len(failed) < failures.ROW


def _chosen(engine: Engine, failed: Collection[str]) -> tuple[dict[str, Evaluation], set[str]]:
    """The finalists by digest, the most valuable first, and which of them are baselines."""
    best, rivals = choose(engine, failed)
    scored = [e for e in rivals if e.images]
    pairs = itertools.zip_longest(best, scored)
    rows = {e.strategy.digest: e for pair in pairs for e in pair if e is not None}
    # No budget is kept for what the search passed over; it comes last, where there is room.
    rows |= {e.strategy.digest: e for e in rivals if not e.images}
    return rows, {e.strategy.digest for e in rivals}


def _noted(engine: Engine, digest: str) -> Any:
    """What is known of a finalist on held-out prompts, or None."""
    found = engine.study.noted(f"{HELDOUT}{digest}")
    return found and gate.finalist(found)


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
        _note(engine, rows[request.key], outcome, base)


def _note(engine: Engine, row: Evaluation, outcome: Outcome, base: Sample) -> None:
    digest, error = row.strategy.digest, outcome.error
    found: dict[str, Any] = {"error": ""}
    if outcome.value is not None:
        gallery.keep(engine.folder, digest, outcome.value)
        try:
            scoring = engine.scoring["heldout"]
            found["scores"] = gate.scores(scoring, outcome.value, base)
            found["intervals"] = gate.intervals(scoring, outcome.value, base)
        except ScoreError as broken:
            error = str(broken)
    if error:
        found = failures.noted(row.strategy, row.origin, error)
    name = f"{HELDOUT}{digest}"
    engine.study.enter(name, {name: found}, engine.study.seconds(name) + outcome.seconds)
    engine.events.scored(digest, found)


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


def _judged(final: Final, goals: Goals) -> Final:
    losses, violation = goals.losses(final.scores), goals.violation(final.scores)
    return replace(final, objectives=losses, violation=violation)


def front(finals: list[Final]) -> list[Final]:
    """The finals that no other dominates on held-out prompts, fastest first.

    A point that a baseline dominates is not on it; a baseline that nothing dominates is. What
    breaks a constraint on held-out prompts, or end to end, is not.
    """
    rows = [final for final in finals if final.role != "unaccelerated" and final.violation <= 0]
    points = np.array([final.objectives for final in rows], dtype=float)
    chosen = [rows[index] for index in nondominated(points)]
    return sorted(chosen, key=lambda final: final.scores["latency_s"])
