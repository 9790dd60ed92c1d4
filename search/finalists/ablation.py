"""What each method is worth in the strategies that people take: the same without it, drawn.

Of the knee and of the fastest strategy without a loss every method is taken out in turn. What is
left is scored on the finalists' held-out prompts. Its latency is the table's, as is that of the
whole strategy which it is held against. Each answer is noted in the study, and none is paid for
twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evaluate.reading import Sample
from evaluate.scores import Scoring
from evaluate.statistics import ScoreError
from search.results.finalist import Final
from search.results.removals import NOTE, Removal, images, removals
from search.results.run import Run
from search.study import score_checks as gate
from search.workers.worker import Outcome, Request
from strategies import Strategy

if TYPE_CHECKING:
    from search.engine.engine import Engine

SHARE = 0.05  # Of a budget of device time, at most, at the end of a search.


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
    base = engine.images.sample("heldout", count)
    name = f"heldout-{count}"
    scoring = engine.scoring.get(name) or engine.images.scoring("heldout", count)
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
            yield engine.images.request(digest, strategy, "heldout", count, limit=limit)

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
