"""Scores of finalists on held-out prompts, noted in the study."""

from __future__ import annotations

from dataclasses import dataclass

from evaluate.extraction import ExtractedFeatures
from evaluate.scoring import Scoring
from evaluate.statistics.gaussian import ScoreError
from search.images.unaccelerated import UnacceleratedImages
from search.objectives.objectives import Objectives
from search.proposers.successive_halving import resampled
from search.study import score_checks
from search.study.evaluation import Evaluation
from search.study.finalist_notes import FinalistNotes, HeldoutScores
from search.study.study import Study
from search.tracking.events import EventBus


@dataclass(frozen=True)
class Comparison:
    """Metrics and images that strategies are compared with on a set of held-out prompts.

    Attributes:
        scoring: metrics and references.
        base: features of the unaccelerated images.
    """

    scoring: Scoring
    base: ExtractedFeatures


def comparison(images: UnacceleratedImages, count: int) -> Comparison:
    """Comparison on the first `count` held-out prompts.

    Raises:
        StrategyError: the unaccelerated pipeline failed, or its images are of no use.
    """
    scoring = images.make_scoring("heldout", count)
    base = images.sample("heldout", count)
    score_checks.unaccelerated_images(base)
    return Comparison(scoring, base)


class HeldoutScorer:
    """Scores of finalists.

    Args:
        study: log of the run, which takes the scores.
        objectives: objectives and constraints of the search.
        events: told of every finalist that is scored.
    """

    def __init__(self, study: Study, objectives: Objectives, events: EventBus) -> None:
        self._notes, self._objectives, self._events = FinalistNotes(study), objectives, events

    def score(self, row: Evaluation, sample: ExtractedFeatures, against: Comparison) -> None:
        """Note what the images of a finalist are worth.

        Args:
            row: the finalist, as the search has evaluated it.
            sample: its images of a set of prompts.
            against: what they are compared with, of the same prompts.
        """
        digest, count, base = row.strategy.digest, sample.count, against.base
        try:
            scores = score_checks.scores(against.scoring, sample, base)
            intervals = score_checks.checked_intervals(against.scoring, sample, base)
            drawn = resampled(against.scoring, sample, base, self._objectives.names)
            losses = {k: [self._objectives.loss(k, v) for v in rows] for k, rows in drawn.items()}
            score_checks.check_finite(
                {f"{k} on a resample of the prompts": rows for k, rows in losses.items()}
            )
        except ScoreError as broken:
            self.fail(row, str(broken), 0.0)
            return
        figures = HeldoutScores(scores, intervals, losses)
        self._events.scored(digest, self._notes.keep_scores(digest, count, figures))

    def fail(self, row: Evaluation, error: str, seconds: float) -> None:
        """Note that a finalist failed.

        Args:
            row: the finalist, as the search has evaluated it.
            error: why it failed.
            seconds: device time that it took.
        """
        found = self._notes.keep_failure(row.strategy, row.origin, error, seconds)
        self._events.scored(row.strategy.digest, found)
