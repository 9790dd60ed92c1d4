"""Who would be a finalist now: kept up with the study at a cost that does not grow with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.initial.baselines import is_baseline
from search.study.study import Evaluation
from strategies import Strategy


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


class Contenders:
    """The fronts of the feasible evaluations on the most images that any has.

    Attributes:
        mine: of those that are no baselines.
        rivals: of the baselines.
        images: that these are scored on.
    """

    def __init__(self) -> None:
        self._read = 0
        self._start(0)

    def _start(self, images: int) -> None:
        self.images = images
        self.mine, self.rivals = list[Evaluation](), list[Evaluation]()

    def read(self, finished: Sequence[Evaluation]) -> Contenders:
        """Take in what has finished since the last time; returns itself.

        Args:
            finished: all evaluations, of which what was read before is the beginning.
        """
        for evaluation in finished[self._read :]:
            if evaluation.feasible and evaluation.images >= self.images:
                if evaluation.images > self.images:
                    self._start(evaluation.images)
                _enter(self.rivals if is_rival(evaluation) else self.mine, evaluation)
        self._read = len(finished)
        return self


def _enter(front: list[Evaluation], new: Evaluation) -> None:
    """Put an evaluation on a front, if none there is at least as good in everything."""
    if front:
        points, point = np.array([one.objectives for one in front]), np.array(new.objectives)
        if np.any(np.all(points <= point, axis=1)):
            return
        kept = np.flatnonzero(np.any(points < point, axis=1))
        front[:] = [front[index] for index in kept]
    front.append(new)
