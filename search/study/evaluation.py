"""Finished evaluations: scores of one strategy, and which of them can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from strategies import Strategy


@dataclass(frozen=True)
class Evaluation:
    """One finished evaluation.

    Attributes:
        number: of its proposal; proposals are numbered in the order they were made.
        origin: `grid`, `fewer-steps`, `combined` for seeds, else the proposer's name.
        genome: in the search's space.
        strategy: what it means.
        scores: quality figures and `latency_s`; empty where it failed.
        error: why it failed, or empty.
        seconds: device time it took.
        objectives: what is minimised; empty where it failed.
        violation: how far it is outside the constraints; 0 is feasible.
        images: how many it was scored on.
        draws: of every objective its losses on resamples of the prompts, where it may yet be
            scored on more images; empty for objectives that no prompt changes.
    """

    number: int
    origin: str
    genome: tuple[int, ...]
    strategy: Strategy
    scores: Mapping[str, float]
    error: str
    seconds: float
    objectives: tuple[float, ...]
    violation: float
    images: int
    draws: tuple[tuple[float, ...], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it has scores."""
        return not self.error

    @property
    def feasible(self) -> bool:
        """Whether it has scores and keeps the constraints."""
        return not self.error and self.violation <= 0


def comparable(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """The feasible evaluations on the most images that any has."""
    good = [one for one in evaluations if one.feasible]
    most = max((one.images for one in good), default=0)
    return [one for one in good if one.images == most]


WARM_START = "warm-start"  # Origin of strategies from earlier runs.
BASELINES = ("grid", "fewer-steps", "preset")


def is_baseline(origin: str, strategy: Strategy) -> bool:
    """Whether it is of a baseline's origin, or without any method, which is fewer steps, whoever
    proposed it.
    """
    return origin in BASELINES or not strategy.methods


def is_rival(evaluation: Evaluation) -> bool:
    """Whether it is a baseline."""
    return is_baseline(evaluation.origin, evaluation.strategy)


def kind(origin: str, strategy: Strategy, proposer: str) -> str:
    """What a strategy is called: `baseline`; `found`, where the search has bred it; else `seed`.

    Args:
        proposer: of the search.
    """
    if is_baseline(origin, strategy):
        return "baseline"
    return "found" if origin == proposer else "seed"
