"""Strategies without one of their methods: what a run knows of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from search.results import heldout_scores
from search.results.finalist import comparable
from search.results.run import NO_LOSS, Run, named
from strategies import Strategy

NOTE = "ablation:"  # What the figures of what is left are noted under, with its digest.


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
    figures = heldout_scores.read(run.study, digest, count).figures.get(count)
    if figures is not None:
        return {"scores": figures.scores, "intervals": figures.intervals}
    kept: dict[str, Any] = run.study.noted(f"{NOTE}{digest}") or {}
    return kept if kept.get("images") == count else {}


def images(run: Run) -> int:
    """Held-out images that the front is compared on."""
    return run.unaccelerated.images or run.config.heldout_images
