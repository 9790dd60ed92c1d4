"""From the search's front to the exported one: who is scored again on held-out prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluate.sample import Sample
from evaluate.scores import score, score_intervals
from evaluate.statistics import ScoreError
from search.front import nondominated, spread
from search.goals import Goals
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
    """

    role: str
    origin: str
    strategy: Strategy
    scores: dict[str, float]
    intervals: dict[str, list[float]]
    objectives: tuple[float, ...] = ()
    violation: float = 0.0

    @property
    def lossless(self) -> bool:
        """No measurable loss: the distance to real images is not above the unaccelerated model's
        by its paired 95 % interval, and no caption accuracy is lower by more than one point.
        """
        if self.intervals.get("fd_real_change", [0.0, 0.0, 0.0])[1] > 0:
            return False
        names = [f"{name}_change" for name in ACCURACIES]
        return all(self.intervals[name][0] >= -0.01 for name in names if name in self.intervals)


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
    drawing = sum(e.seconds for e in rows.values()) * share
    if not (engine.folder / "baseline-heldout.safetensors").exists():
        drawing += float(engine.study.noted("seconds:baseline-search") or 0.0) * whole
    plain = engine.base_scores["latency_s"]
    timing = sum(e.scores["latency_s"] for e in rows.values()) + plain
    return drawing + (REPEATS + 1) * timing


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
        "scores": score(base, base, engine.real),
        "intervals": {},
    }
    finals = [_final(engine, engine.baseline, "", plain, times)]
    goals = engine.make_goals(finals[0].scores)
    finals[0] = _judged(finals[0], goals)
    roles = {e.strategy.digest: "baseline" for e in rivals}
    for evaluation in good:
        digest = evaluation.strategy.digest
        found = engine.study.noted(f"heldout:{digest}")
        found = found | {"role": roles.get(digest, "front")}
        final = _final(engine, evaluation.strategy, evaluation.origin, found, times)
        finals.append(_judged(final, goals))
    return finals


def _score_heldout(engine: Engine, rows: dict[str, Evaluation]) -> Sample:
    """Draw and score what is not scored yet; returns the unaccelerated sample."""
    count = engine.config.heldout_images
    base = engine.stored_baseline("heldout", count)
    first = engine.baseline_request("heldout", count)
    waiting = [first] if base is None else []
    waiting += [
        Request(digest, "sample", (dump(row.strategy), "heldout", count))
        for digest, row in rows.items()
        if engine.study.noted(f"heldout:{digest}") is None
    ]
    running, drawn = 0, list[tuple[str, Outcome]]()
    while waiting or running:
        engine.say(f"scoring on held-out prompts, {len(waiting) + running} to go")
        while waiting and running < engine.executor.slots:
            engine.executor.submit(waiting.pop(0))
            running += 1
        request, outcome = engine.executor.next()
        running -= 1
        if request.key == first.key:
            base = engine.store_baseline("heldout", outcome)
        else:
            drawn.append((request.key, outcome))
        while base is not None and drawn:
            _note(engine, *drawn.pop(), base)
    assert base is not None
    return base


def _note(engine: Engine, digest: str, outcome: Outcome, base: Sample) -> None:
    found: dict[str, Any] = {"error": outcome.error}
    if outcome.value is not None:
        try:
            found["scores"] = score(outcome.value, base, engine.real)
            found["intervals"] = score_intervals(outcome.value, base, engine.real)
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
