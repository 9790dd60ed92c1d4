"""From the search's front to the exported one: who is scored again on held-out prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluate.reading import Sample
from evaluate.statistics import ScoreError
from search import drawing
from search.front import nondominated, spread
from search.goals import Goals, more_is_better
from search.seeds import BASELINES
from search.study import Evaluation, comparable
from search.worker import Outcome, Request
from strategies import Strategy, dump

if TYPE_CHECKING:
    from search.engine import Engine

REPEATS = 5
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

    Both are the points that dominate most on the search's own scores, at most `export` each. A
    strategy without any method is fewer steps, whoever proposed it, and so is a baseline.
    """
    good = comparable(engine.study.evaluations)
    rivals = [e for e in good if e.origin in BASELINES or not e.strategy.methods]
    mine = [e for e in good if e.origin not in BASELINES and e.strategy.methods]
    count = engine.config.export
    return pick(mine, engine.reference, count), pick(rivals, engine.reference, count)


def pick(rows: list[Evaluation], reference: tuple[float, ...], count: int) -> list[Evaluation]:
    """At most `count` evaluations that together dominate most."""
    if not rows:
        return []
    points = np.array([row.objectives for row in rows])
    return [rows[index] for index in spread(points, reference, count)]


def reserve(engine: Engine) -> float:
    """Device seconds that the final scoring of the present front will take."""
    best, rivals = choose(engine)
    rows = {e.strategy.digest: e for e in [*best, *rivals]}
    ladder = (0, *engine.rungs)
    share = engine.config.heldout_images / (ladder[-1] - ladder[-2])
    whole = engine.config.heldout_images / engine.config.images
    seconds = sum(e.seconds for e in rows.values()) * share
    if not (engine.folder / "baseline-heldout.safetensors").exists():
        sets = ("baseline-search", "baseline-search-self")
        plain = sum(float(engine.study.noted(f"seconds:{name}") or 0.0) for name in sets)
        seconds += plain * whole
    timing = sum(e.scores["latency_s"] for e in rows.values()) + engine.base_scores["latency_s"]
    return seconds + (REPEATS + 1) * timing


def finish(engine: Engine) -> list[Final]:
    """Score the finalists on held-out prompts and time them end to end.

    What a former run of the same study has already scored is not scored again.
    """
    best, rivals = choose(engine)
    rows = {e.strategy.digest: e for e in [*rivals, *best]}
    base = _score_heldout(engine, rows)
    good = [e for d, e in rows.items() if not engine.study.noted(f"heldout:{d}")["error"]]
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
        found = engine.study.noted(f"heldout:{digest}")
        found = found | {"role": roles.get(digest, "front")}
        final = _final(engine, evaluation.strategy, evaluation.origin, found, times)
        finals.append(_judged(final, goals, yardstick))
    return finals


def _score_heldout(engine: Engine, rows: dict[str, Evaluation]) -> Sample:
    """Draw and score what is not scored yet; returns the unaccelerated sample."""
    count = engine.config.heldout_images
    engine.say("drawing the unaccelerated images of the held-out prompts")
    engine.scoring["heldout"] = drawing.scoring(engine, "heldout", count)
    base = drawing.unaccelerated(engine, "heldout", count)
    waiting = [
        drawing.request(engine, digest, row.strategy, "heldout", count)
        for digest, row in rows.items()
        if engine.study.noted(f"heldout:{digest}") is None
    ]
    running = 0
    while waiting or running:
        engine.say(f"scoring on held-out prompts, {len(waiting) + running} to go")
        while waiting and running < engine.executor.slots:
            engine.executor.submit(waiting.pop(0))
            running += 1
        request, outcome = engine.executor.next()
        running -= 1
        _note(engine, request.key, outcome, base)
    return base


def _note(engine: Engine, digest: str, outcome: Outcome, base: Sample) -> None:
    found: dict[str, Any] = {"error": outcome.error}
    if outcome.value is not None:
        try:
            scoring = engine.scoring["heldout"]
            found["scores"] = scoring.score(outcome.value, base)
            found["intervals"] = scoring.intervals(outcome.value, base)
        except ScoreError as broken:
            found = {"error": str(broken)}
    engine.study.note(f"heldout:{digest}", found)
    engine.study.note(f"seconds:heldout:{digest}", outcome.seconds)
    engine.events.scored(digest, found)


def _time(engine: Engine, rows: list[Evaluation]) -> dict[str, list[float]]:
    engine.say("measuring latency end to end")
    strategies = [engine.baseline, *(row.strategy for row in rows)]
    request = Request("end-to-end", "end_to_end", ([dump(s) for s in strategies], REPEATS))
    outcome = engine.executor.alone(request)
    engine.must(outcome)
    former = float(engine.study.noted("seconds:end-to-end") or 0.0)
    engine.study.note("seconds:end-to-end", former + outcome.seconds)
    return {s.digest: t for s, t in zip(strategies, outcome.value, strict=True)}


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
