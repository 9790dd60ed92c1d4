"""Scores of finalists on held-out prompts, noted in the study."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from evaluate.extraction import Sample
from evaluate.scoring import Scoring
from evaluate.statistics.gaussian import ScoreError
from search.images.unaccelerated import UnacceleratedImages
from search.objectives.objectives import Goals
from search.proposers.successive_halving import resampled
from search.results.heldout_scores import HELDOUT, Figures, read
from search.study import failures, score_checks
from search.study.evaluation import Evaluation
from search.study.study import Study
from search.tracking.events import Events
from search.workers.messages import Outcome


@dataclass(frozen=True)
class Comparison:
    """What strategies are compared with on one set of held-out prompts.

    Attributes:
        scoring: metrics and references.
        base: features of the unaccelerated images.
    """

    scoring: Scoring
    base: Sample


def comparison(images: UnacceleratedImages, count: int) -> Comparison:
    """What strategies are compared with on the first `count` held-out prompts.

    Raises:
        StrategyError: the unaccelerated pipeline failed, or its images are of no use.
    """
    scoring = images.scoring("heldout", count)
    base = images.sample("heldout", count)
    score_checks.unaccelerated_images(base)
    return Comparison(scoring, base)


class HeldoutScorer:
    """Scores of finalists.

    Args:
        study: log of the run, which takes the scores.
        goals: objectives and constraints of the search.
        events: told of every finalist that is scored.
    """

    def __init__(self, study: Study, goals: Goals, events: Events) -> None:
        self._study, self._goals, self._events = study, goals, events

    def score(self, row: Evaluation, sample: Sample, against: Comparison) -> None:
        """Note what the images of a finalist are worth.

        Args:
            row: the finalist, as the search has evaluated it.
            sample: its images of a set of prompts.
            against: what they are compared with, of the same prompts.
        """
        digest, count, base = row.strategy.digest, sample.count, against.base
        try:
            scores = score_checks.scores(against.scoring, sample, base)
            intervals = score_checks.intervals(against.scoring, sample, base)
            drawn = resampled(against.scoring, sample, base, self._goals.names)
            losses = {k: [self._goals.loss(k, v) for v in rows] for k, rows in drawn.items()}
            score_checks.finite(
                {f"{k} on a resample of the prompts": rows for k, rows in losses.items()}
            )
        except ScoreError as broken:
            self.fail(row, Outcome(None, str(broken), 0.0))
            return
        former = read(self._study, digest, count).figures
        every = {**former, count: Figures(scores, intervals, losses)}
        found = {
            "error": "",
            "images": count,
            "scores": scores,
            "intervals": intervals,
            "levels": {str(n): asdict(one) for n, one in every.items()},
        }
        self._note(digest, found, 0.0)

    def fail(self, row: Evaluation, outcome: Outcome[Sample]) -> None:
        """Note that a finalist failed."""
        found = failures.noted(row.strategy, row.origin, outcome.error)
        self._note(row.strategy.digest, found, outcome.seconds)

    def _note(self, digest: str, found: dict[str, Any], seconds: float) -> None:
        name = f"{HELDOUT}{digest}"
        self._study.enter(name, {name: found}, self._study.seconds(name) + seconds)
        self._events.scored(digest, found)
