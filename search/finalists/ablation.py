"""What each method is worth in the strategies that people take: the same without it, drawn.

Of the knee and of the fastest strategy without a loss every method is taken out in turn. What is
left is scored on the finalists' held-out prompts. Its latency is the table's, as is that of the
whole strategy which it is held against. Each answer is noted in the study, and none is paid for
twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evaluate.reading import Sample
from evaluate.scores import Scoring
from evaluate.statistics import ScoreError
from search.finalists import heldout
from search.finalists.final_scoring import Final, comparable
from search.images import unaccelerated as drawing
from search.results.run import NO_LOSS, Run, named
from search.study import score_checks as gate
from search.workers.worker import Outcome, Request
from strategies import Strategy

if TYPE_CHECKING:
    from search.engine.engine import Engine

NOTE = "ablation:"  # What the figures of what is left are noted under, with its digest.
SHARE = 0.05  # Of a budget of device time, at most, at the end of a search.
LABELS = ("knee", NO_LOSS)


@dataclass(frozen=True)
class Removal:
    """A strategy without one of its methods.

    Attributes:
        labels: what the whole strategy is called.
        whole: as it was exported.
        method: that is taken out.
        left: the strategy without it.
        scores, intervals: of `left` on held-out prompts; empty where it was not drawn or failed.
        error: why it failed.
    """

    labels: tuple[str, ...]
    whole: Strategy
    whole_scores: dict[str, float]
    method: str
    left: Strategy
    scores: dict[str, float]
    intervals: dict[str, list[float]]
    error: str

    @property
    def drawn(self) -> bool:
        """Whether it is known what the method is worth."""
        return bool(self.scores)


def without(strategy: Strategy, method: str) -> Strategy:
    """A strategy whose method does nothing; all others do what they did."""
    whole = strategy.canonical()
    kept = {name: knobs for name, knobs in whole.methods.items() if name != method}
    return whole.model_copy(update={"methods": kept, "scores": {}, "baseline": {}}).canonical()


def removals(run: Run) -> list[Removal]:
    """Of the named strategies everything that is taken out, with what is known of it."""
    labels: dict[str, list[str]] = {}
    points = {label: point for label, point in named(run.front()).items() if label in LABELS}
    for label, point in points.items():
        labels.setdefault(point.strategy.digest, []).append(label)
    found = []
    for names in labels.values():
        point = points[names[0]]
        for method in sorted(point.strategy.canonical().methods):
            left = without(point.strategy, method)
            known = _known(run, left.digest)
            found.append(
                Removal(
                    tuple(names), point.strategy, dict(point.scores), method, left,
                    known.get("scores", {}), known.get("intervals", {}), known.get("error", ""),
                )
            )  # fmt: skip
    return found


def _known(run: Run, digest: str) -> dict[str, Any]:
    """What is known of a strategy, as left over, as a finalist, or as the unaccelerated one."""
    for final in comparable(run.finals):
        if final.strategy.digest == digest:
            return {"scores": final.scores, "intervals": final.intervals}
    count = images(run)
    figures = heldout.read(run.study, digest, count).figures.get(count)
    if figures is not None:
        return {"scores": figures.scores, "intervals": figures.intervals}
    kept: dict[str, Any] = run.study.noted(f"{NOTE}{digest}") or {}
    return kept if kept.get("images") == count else {}


def images(run: Run) -> int:
    """Held-out images that the front is compared on."""
    return run.unaccelerated.images or run.config.heldout_images


def spare(engine: Engine, scored: float) -> float:
    """Seconds that a search may spend on this at its end; a budget of evaluations has none.

    Args:
        scored: seconds that the final scoring has taken, of which this is a part.
    """
    seconds, spending = engine.budget.seconds, engine.spending
    if seconds is None:
        return 0.0
    return max(0.0, min(spending.left(), spending.scoring - scored, SHARE * seconds))


def ablate(engine: Engine, finals: Sequence[Final], seconds: float) -> list[Removal]:
    """Draw and score what is not known yet, as far as so many seconds go.

    Args:
        engine: of the run.
        finals: of the search, finished or about to be exported.

    Returns:
        All removals; of those that there was no room for nothing is known.
    """
    run = Run(engine.folder, engine.config, engine.study, finals)
    count, left = images(run), seconds
    waiting = {
        one.left.digest: one.left for one in removals(run) if not one.drawn and not one.error
    }

    if not waiting:
        return removals(run)
    base = drawing.unaccelerated(engine, "heldout", count)
    name = f"heldout-{count}"
    scoring = engine.scoring.get(name) or drawing.scoring(engine, "heldout", count)
    engine.scoring[name] = scoring

    def wanted() -> Iterator[Request]:
        nonlocal left
        for number, (digest, strategy) in enumerate(waiting.items()):
            latency = engine.table.predict(strategy)
            cost = engine.spending.draw(latency, count)
            if cost > left:
                continue
            left -= cost
            engine.say(f"scoring strategies without a method, {len(waiting) - number} to go")
            limit = engine.limit(latency, count)
            yield drawing.request(engine, digest, strategy, "heldout", count, limit=limit)

    for request, outcome in engine.executor.each(wanted()):
        _note(engine, waiting[request.key], outcome, base, scoring)
    return removals(run)


def _note(
    engine: Engine, strategy: Strategy, outcome: Outcome, base: Sample, scoring: Scoring
) -> None:
    found: dict[str, Any] = {"error": outcome.error, "images": base.count}
    if outcome.value is not None:
        try:
            found["scores"] = gate.scores(scoring, outcome.value, base) | engine.costs(strategy)
            found["intervals"] = gate.intervals(scoring, outcome.value, base)
        except ScoreError as broken:
            found["error"] = str(broken)
    name = f"{NOTE}{strategy.digest}"
    engine.study.enter(name, {name: found}, engine.study.seconds(name) + outcome.seconds)
