"""Finished evaluations: scores of one strategy, and which of them can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from strategies import Strategy


@dataclass(frozen=True)
class Evaluation:
    """One finished evaluation.

    Attributes:
        number: number of its proposal; proposals are numbered in the order they were made.
        origin: kind of initial strategy, such as `grid` or `combined`, else the proposer's name.
        genome: genome in the search's space.
        strategy: strategy that the genome means.
        scores: scores of quality and costs by name; empty if it failed.
        error: reason of the failure, or empty.
        seconds: device time that it took.
        objectives: losses, which are minimised; empty if it failed.
        violation: distance beyond the constraints; 0 is feasible.
        images: number of images that it was scored on.
        resampled_losses: losses of every objective on resamples of the prompts, if it may yet be
            scored on more images; a row is empty if its objective does not depend on prompts.
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
    resampled_losses: tuple[tuple[float, ...], ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether it has scores."""
        return not self.error

    @property
    def feasible(self) -> bool:
        """Whether it has scores and keeps the constraints."""
        return not self.error and self.violation <= 0


def comparable(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Feasible evaluations on the largest number of images that any of them has."""
    good = [one for one in evaluations if one.feasible]
    most = max((one.images for one in good), default=0)
    return [one for one in good if one.images == most]


INITIAL = "initial"  # Kind of a strategy that was evaluated first.
WARM_START = "warm-start"  # Origin of strategies from earlier runs.
BASELINES = ("grid", "fewer-steps", "preset")


def is_baseline(origin: str, strategy: Strategy) -> bool:
    """Whether a strategy is a baseline: by its origin, or because it has no method.

    A strategy without a method is fewer steps, also if the search has proposed it.
    """
    return origin in BASELINES or not strategy.methods


def is_baseline_evaluation(evaluation: Evaluation) -> bool:
    """Whether an evaluation is of a baseline."""
    return is_baseline(evaluation.origin, evaluation.strategy)


def strategy_kind(origin: str, strategy: Strategy, proposer: str) -> str:
    """Name of a strategy's kind: `baseline`, `found` if the search has bred it, else `initial`.

    Args:
        origin: origin of its proposal.
        strategy: the strategy.
        proposer: name of the search's proposer.
    """
    if is_baseline(origin, strategy):
        return "baseline"
    return "found" if origin == proposer else INITIAL


def stored_kind(kind: str) -> str:
    """Kind as tables for programs have it: `seed` is the stored word for `initial`, as in 0.1."""
    return "seed" if kind == INITIAL else kind
