"""Scorer: from a proposal to the request for its images, and from the answer to its evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from evaluate.extraction import ExtractedFeatures, ExtractionSpec
from evaluate.scoring import Scoring
from evaluate.statistics.gaussian import ScoreError
from search.images import feature_cache
from search.images.unaccelerated import UnacceleratedImages
from search.objectives.objectives import Objectives
from search.proposers.proposal import Proposal
from search.proposers.successive_halving import resampled
from search.study import score_checks
from search.study.evaluation import Evaluation
from search.workers.messages import Response, SampleRequest
from strategies import Strategy


class Scorer:
    """Requests of proposals, and evaluations of the answers to them.

    Features of a candidate that may be scored on more images are kept in the run's folder, so that
    a promoted candidate is asked only for the images that it lacks.

    Args:
        scoring: scoring of features of the search's prompts.
        base: features of the unaccelerated images of these prompts.
        objectives: objectives and constraints on every rung, by its number of images.
        costs: latency and other costs of a strategy, by the tables.
        images: makes requests, and knows which kept features may be used.
        reading: features to read of every image.
        folder: folder of the run.
        limit: seconds after which generating a number of images at a latency is cancelled.
    """

    def __init__(
        self,
        scoring: Scoring,
        base: ExtractedFeatures,
        objectives: Mapping[int, Objectives],
        costs: Callable[[Strategy], dict[str, float]],
        images: UnacceleratedImages,
        reading: ExtractionSpec,
        folder: Path,
        limit: Callable[[float, int], float],
    ) -> None:
        self._scoring, self._base, self._objectives, self._costs = scoring, base, objectives, costs
        self._images, self._reading, self._limit = images, reading, limit
        self._folder, self._most = folder / "samples", max(objectives)

    def request(self, proposal: Proposal) -> SampleRequest:
        """Request for the images that the proposal's rung has more than those that are kept."""
        kept = self._kept(proposal)
        start = 0 if kept is None else proposal.drawn
        key, strategy = str(proposal.number), proposal.strategy
        limit = self._limit(self._costs(strategy)["latency_s"], proposal.images - start)
        return self._images.generation_request(
            key, strategy, "search", proposal.images, start, limit
        )

    def settle(self, proposal: Proposal) -> None:
        """Remove the features that an evaluation continued, once it is in the study."""
        if proposal.drawn:
            feature_cache.remove_features(self._place(proposal.strategy, proposal.drawn))

    def evaluation(
        self, proposal: Proposal, request: SampleRequest, outcome: Response[ExtractedFeatures]
    ) -> Evaluation:
        """Evaluation of the answer to a proposal's request."""
        scores: dict[str, float] = {}
        draws: tuple[tuple[float, ...], ...] = ()
        error, images = outcome.error, proposal.images
        if outcome.value is not None:
            try:
                sample = outcome.value
                if request.start:
                    kept = self._kept(proposal)
                    assert kept is not None
                    sample = kept.concatenate(sample)
                base = self._base.first(images)
                scores = score_checks.scores(self._scoring, sample, base)
                scores |= self._costs(proposal.strategy)
                if images < self._most:
                    draws = self._resampled(sample, base)
                    place = self._place(proposal.strategy, images)
                    feature_cache.write(sample, place, self._images.origin)
            except ScoreError as broken:
                scores, error = {}, str(broken)
        objectives = self._objectives[images]
        return Evaluation(
            proposal.number,
            proposal.origin,
            proposal.genome,
            proposal.strategy,
            scores,
            error,
            outcome.seconds,
            objectives.losses(scores) if scores else (),
            objectives.violation(scores) if scores else 0.0,
            images,
            draws,
        )

    def _resampled(
        self, sample: ExtractedFeatures, base: ExtractedFeatures
    ) -> tuple[tuple[float, ...], ...]:
        """The losses of every objective on resamples of the prompts, costs having none."""
        objectives = self._objectives[sample.count]
        found = resampled(self._scoring, sample, base, objectives.names)
        score_checks.check_finite(
            {f"{k} on a resample of the prompts": v for k, v in found.items()}
        )
        return tuple(
            tuple(objectives.loss(name, value) for value in found.get(name, ()))
            for name in objectives.names
        )

    def _kept(self, proposal: Proposal) -> ExtractedFeatures | None:
        place = self._place(proposal.strategy, proposal.drawn)
        return self._images.kept(place, proposal.drawn or -1, self._reading)

    def _place(self, strategy: Strategy, images: int) -> Path:
        return feature_cache.features_path(self._folder, strategy.digest, images)
