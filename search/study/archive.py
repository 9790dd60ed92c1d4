"""Archives of the front so far, kept up with the study at a cost that does not grow with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from search.objectives.objectives import higher_is_better
from search.pareto import hypervolume, nondominated
from search.study.evaluation import Evaluation, is_baseline_evaluation


class FrontsOfKinds:
    """Fronts of the feasible evaluations on the largest number of images that any of them has.

    The baselines have a front of their own.

    Attributes:
        mine: front of the strategies that are no baselines.
        baselines: front of the baselines.
        images: number of images that both fronts are scored on.
    """

    def __init__(self) -> None:
        self._read = 0
        self._start(0)

    def _start(self, images: int) -> None:
        self.images = images
        self.mine, self.baselines = list[Evaluation](), list[Evaluation]()

    def read(self, finished: Sequence[Evaluation]) -> FrontsOfKinds:
        """Take in what has finished since the last time; returns itself.

        Args:
            finished: all finished evaluations; those that were read before come first.
        """
        for evaluation in finished[self._read :]:
            if evaluation.feasible and evaluation.images >= self.images:
                if evaluation.images > self.images:
                    self._start(evaluation.images)
                _enter(
                    self.baselines if is_baseline_evaluation(evaluation) else self.mine, evaluation
                )
        self._read = len(finished)
        return self


def _enter(front: list[Evaluation], new: Evaluation) -> None:
    """Put an evaluation on a front, unless another there is at least as good in every objective."""
    if front:
        points, point = np.array([one.objectives for one in front]), np.array(new.objectives)
        if np.any(np.all(points <= point, axis=1)):
            return
        kept = np.flatnonzero(np.any(points < point, axis=1))
        front[:] = [front[index] for index in kept]
    front.append(new)


class ParetoArchive:
    """Front of the feasible evaluations on the largest number of images that any of them has.

    Attributes:
        images: number of images that the front is scored on.
        front: evaluations of the front, in the order in which they finished.
    """

    def __init__(self) -> None:
        self.images = 0
        self.front: list[Evaluation] = []
        self._read = 0

    def read(self, evaluations: Sequence[Evaluation]) -> ParetoArchive:
        """Take in what has finished since the last time; returns itself."""
        for evaluation in evaluations[self._read :]:
            self.add(evaluation)
        self._read = len(evaluations)
        return self

    def add(self, evaluation: Evaluation) -> bool:
        """Take in one evaluation; returns whether it is on the front now."""
        if not evaluation.feasible or evaluation.images < self.images:
            return False
        if evaluation.images > self.images:
            self.images, self.front = evaluation.images, []
        rows = [*self.front, evaluation]
        points = np.array([row.objectives for row in rows], dtype=float)
        self.front = [rows[index] for index in nondominated(points)]
        return any(row is evaluation for row in self.front)

    def hypervolume(self, reference: Sequence[float]) -> float:
        """Hypervolume of the front, see `search.pareto.hypervolume`."""
        return hypervolume(np.array([row.objectives for row in self.front], dtype=float), reference)

    def fastest_as_good(
        self, lossless_metric: str | None, base: Mapping[str, float]
    ) -> Evaluation | None:
        """Fastest evaluation of the front that scores no worse than the unaccelerated pipeline.

        This is no test: on few images a score can be no worse by chance.

        Args:
            lossless_metric: name of the metric that shows a loss, see
                `search.objectives.metric_set.MetricSet`; None returns None.
            base: scores of the unaccelerated pipeline.
        """
        if lossless_metric is None:
            return None
        worst = _loss(lossless_metric, base)
        rows = [row for row in self.front if _loss(lossless_metric, row.scores) <= worst]
        return max(rows, key=lambda row: row.scores["speedup"], default=None)


def _loss(name: str, scores: Mapping[str, float]) -> float:
    return -scores[name] if higher_is_better(name) else scores[name]
