"""From the search's front to the exported one: who is scored again on held-out prompts."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from search.costs import unmeasurable as untimed
from search.errors import SearchError
from search.finalists import end_to_end
from search.finalists.end_to_end import Times
from search.finalists.race import Race
from search.finalists.standings import Standings
from search.objectives.objectives import Goals
from search.pareto import spread
from search.results import heldout_scores
from search.results.finalist import Final
from search.study import failures
from search.study import score_checks as gate
from search.study.evaluation import Evaluation, is_rival
from search.study.evaluation import comparable as on_most
from strategies import Strategy

if TYPE_CHECKING:
    from search.engine.engine import Engine


FAITHFUL = 3  # One in so many finalists is chosen from the slow and faithful end of the front.


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
        e for e in on_most(engine.study.evaluations) if e.strategy.digest not in failed
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
    """At most `count` evaluations that together dominate most.

    The last third is chosen by the objectives' logarithms: the volume itself hardly sees the slow
    and faithful end of a front, where strategies without a loss are.
    """
    if not rows:
        return []
    points, worst = np.array([row.objectives for row in rows]), np.array(reference)
    chosen = spread(points, reference, count - count // FAITHFUL)
    if (points > 0).all() and (worst > 0).all():
        low = np.minimum(points.min(0), worst) / 2
        points, worst = np.log(points / low), np.log(worst / low)
    return [rows[index] for index in spread(points, tuple(worst), count, chosen)]


def finish(engine: Engine) -> list[Final]:
    """Score the finalists on held-out prompts and time them end to end.

    They race on growing sets of prompts, see `search.finalists.race`. What a former run of the
    same study has already scored or timed is not scored or timed again. Where the budget has
    no room for all, the least valuable are left out; `engine.unscored` counts them. A finalist that
    fails makes room for the next one of the front.

    Raises:
        SearchError: no finalist could be scored, or no candidate of the search.
    """
    engine.clock.enter("scoring")
    failures.see_that_any_succeeded(engine.study, engine.folder)
    failures.forget_if_all(engine.study)
    ceiling = engine.study.spent + min(engine.spending.left(), engine.spending.scoring)
    while True:
        failed = failures.finalists(engine.study)
        rows, rivals = _chosen(engine, failed)
        race = Race(Standings(engine, rows, rivals, ceiling))
        race.run()
        rows = race.all.rows
        held = {
            digest: heldout_scores.read(engine.study, digest, race.all.levels[-1])
            for digest in rows
        }
        good = [rows[digest] for digest, one in held.items() if one.figures]
        now = failures.finalists(engine.study)
        if now != failed and _room(engine, now, good):
            continue
        if now and not good:
            raise SearchError(failures.none_left(engine.study, engine.folder))
        times = end_to_end.measure(engine, [(row.strategy, row.origin) for row in good])
        good = [row for row in good if row.strategy.digest in times]
        after = failures.finalists(engine.study)
        if after != now and _room(engine, after, good):
            continue
        if after and not good:
            raise SearchError(failures.none_left(engine.study, engine.folder))
        break
    engine.unscored = sum(
        not one.figures and not one.error and rows[d].images > 0 for d, one in held.items()
    )
    common = race.all.common or race.all.levels[0]
    base = race.base(common)
    plain = gate.unaccelerated_scores(engine.scoring[f"heldout-{common}"], base)
    finals = [_final(engine, engine.baseline, "", "unaccelerated", plain, {}, times)]
    finals[0] = replace(finals[0], images=common, judged=common, full=race.full)
    goals = engine.make_goals(finals[0].scores)
    finals[0] = _judged(finals[0], goals)
    for row in good:
        digest = row.strategy.digest
        role = "baseline" if digest in rivals else "front"
        figures = held[digest].figures
        images = common if common in figures else held[digest].images
        mine, last = figures[images], figures[held[digest].images]
        final = _final(engine, row.strategy, row.origin, role, mine.scores, mine.intervals, times)
        changes = {k: v for k, v in last.intervals.items() if k.endswith("_change")}
        final = replace(
            final, images=images, changes=changes, judged=held[digest].images, full=race.full
        )
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


def _final(
    engine: Engine,
    strategy: Strategy,
    origin: str,
    role: str,
    scores: dict[str, float],
    intervals: dict[str, list[float]],
    times: dict[str, Times],
) -> Final:
    mine, plain = times[strategy.digest]
    latency = float(np.median(mine))
    timed = {
        "latency_s": latency,
        "latency_table_s": engine.table.predict(strategy),
        "latency_spread_s": float(np.subtract(*np.quantile(mine, [0.75, 0.25])) / 2),
        "speedup": float(np.median(plain)) / latency,
    }
    if engine.macs is not None:
        timed["macs"] = engine.costs(strategy)["macs"]
    return Final(role, origin, strategy, scores | timed, intervals)


def _judged(final: Final, goals: Goals) -> Final:
    losses, violation = goals.losses(final.scores), goals.violation(final.scores)
    return replace(final, objectives=losses, violation=violation)
