"""Ablation results: strategies without one of their methods."""

from __future__ import annotations

from dataclasses import dataclass

from search.results.finalist import comparable_finalists
from search.results.run import NO_LOSS, Run, named_points
from search.study.finalist_notes import AblationScores, FinalistNotes
from strategies import Strategy

LABELS = ("knee", NO_LOSS)


@dataclass(frozen=True)
class Removal:
    """A strategy without one of its methods.

    Attributes:
        labels: labels of the whole strategy.
        whole: strategy as it was exported.
        method: method that is taken out.
        left: strategy without it.
        scores, intervals: results of `left` on held-out prompts; empty if it was not generated or
            failed.
        error: reason of its failure.
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
        """Whether the effect of the method is known."""
        return bool(self.scores)


def without(strategy: Strategy, method: str) -> Strategy:
    """A strategy with one method switched off and all others unchanged."""
    whole = strategy.canonical()
    kept = {name: knobs for name, knobs in whole.methods.items() if name != method}
    return whole.model_copy(update={"methods": kept, "scores": {}, "baseline": {}}).canonical()


def removals(run: Run) -> list[Removal]:
    """Every removal of a method from the named strategies, with its results."""
    labels: dict[str, list[str]] = {}
    points = {label: point for label, point in named_points(run.front()).items() if label in LABELS}
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
                    known.scores, known.intervals, known.error,
                )
            )  # fmt: skip
    return found


def _known(run: Run, digest: str) -> AblationScores:
    """Results of a strategy, as a removal, as a finalist, or as the unaccelerated one."""
    count = compared_images(run)
    for final in comparable_finalists(run.finals):
        if final.strategy.digest == digest:
            return AblationScores(count, final.scores, final.intervals)
    kept = FinalistNotes(run.study)
    figures = kept.held(digest, count).by_images.get(count)
    if figures is not None:
        return AblationScores(count, figures.scores, figures.intervals)
    found = kept.removed(digest)
    return found if found.images == count else AblationScores()


def compared_images(run: Run) -> int:
    """Number of held-out images that the front is compared on."""
    return run.unaccelerated.images or run.config.heldout_images
