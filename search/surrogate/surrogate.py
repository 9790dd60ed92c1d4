"""Surrogate: predicted objectives of strategies that have not been evaluated.

Costs are exact, from the tables. A regression predicts the other objectives, with its uncertainty.
From a pool of strategies the search takes the one with the largest expected hypervolume
improvement of the front (Emmerich, Deutz, Klinkenberg, 2011), over the possible outcomes. The model
is validated on evaluations that it was not fitted to, and is not used while its rank correlation is
low.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from search.pareto import hypervolume_improvement, nondominated
from search.study.history import History
from search.surrogate.gaussian_process import OUTCOMES, GaussianProcess
from search.surrogate.strategy_features import StrategyFeatures
from strategies import SearchSpace, Strategy

MIN_EVALUATIONS = 30  # Evaluations before a model is worth fitting.
LINEAR = 0.02  # Share of the evaluations whose losses are too small for the logarithm.
MIN_COST = 1e-9  # Lowest value of a cost, so that it has a logarithm.
MIN_RANK_CORRELATION = 0.6  # Lowest of Spearman's correlations at which the model is used.

Costs = Mapping[str, Callable[[Strategy], float]]
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedSurrogate:
    """Model of one state of the history.

    Attributes:
        models: regressions of the predicted objectives, in their order.
        scales: scale of each objective; above it, an objective counts by its logarithm.
        correlation: lowest of Spearman's correlations on evaluations that it was not fitted to.
    """

    models: tuple[GaussianProcess, ...]
    scales: Points
    correlation: float

    @property
    def trusted(self) -> bool:
        """Whether its rank correlation is high enough to choose by."""
        return self.correlation >= MIN_RANK_CORRELATION


class Surrogate:
    """Predictions from the finished evaluations.

    Anything that it keeps only saves time: a new one predicts the same.

    Args:
        space: space of the search.
        names: names of the objectives.
        costs: functions of the objectives that follow from tables, by name.
        seed: seed of the trees.
        violation: distance of a strategy beyond the constraints on costs that follow from
            tables; 0 is within them.
    """

    def __init__(
        self,
        space: SearchSpace,
        names: Sequence[str],
        costs: Costs,
        seed: int,
        violation: Callable[[Strategy], float] = lambda _: 0.0,
    ) -> None:
        self.space, self.names, self.costs, self.seed = space, tuple(names), costs, seed
        self.violation = violation
        self._describe = StrategyFeatures(space)
        self.predicted = [i for i, name in enumerate(self.names) if name not in costs]
        self._told: list[NDArray[np.float32]] = []
        self._fitted: tuple[int, FittedSurrogate] | None = None
        self._lasting: tuple[FittedSurrogate | None, int, dict[str, tuple[Points, float]]] = (
            None,
            0,
            {},
        )
        self._fronts: dict[int, tuple[int, Points]] = {}

    def fitted(self, history: History) -> FittedSurrogate | None:
        """Model of as many evaluations as the schedule says; None while there are too few."""
        size = _size(len(history))
        if size < MIN_EVALUATIONS or not self.predicted:
            return None
        if self._fitted is None or self._fitted[0] != size:
            self._fitted = size, self._fit(history, size)
        return self._fitted[1]

    @property
    def words(self) -> str:
        """State for people: whether children are screened, and the rank correlation."""
        if self._fitted is None:
            if not self.predicted:
                return "nothing to predict"
            return f"not before {MIN_EVALUATIONS} evaluations"
        model = self._fitted[1]
        words = f"rank correlation {model.correlation:.2f}"
        return words if model.trusted else f"off, {words} is below {MIN_RANK_CORRELATION}"

    def _fit(self, history: History, size: int) -> FittedSurrogate:
        new = [one.strategy for one in history.good[len(self._told) : size]]
        self._told.extend(self._tell(new, self._cost(new)))
        told = _with_images(np.array(self._told[:size]), history.images[:size])
        scales = np.quantile(np.abs(history.objectives[:size]), LINEAR, axis=0)
        scales[scales == 0] = 1.0
        models, ranks = list[GaussianProcess](), list[float]()
        for index in self.predicted:
            losses = history.objectives[:size, index]
            models.append(GaussianProcess(told, np.arcsinh(losses / scales[index]), self.seed))
            kept = losses[models[-1].kept]
            ranks.append(float(spearmanr(models[-1].unseen, kept).statistic))
        return FittedSurrogate(tuple(models), scales, float(np.nan_to_num(min(ranks))))

    def _cost(self, rows: Sequence[Strategy]) -> Points:
        """Costs of strategies, `[n, costs]`."""
        each = [[cost(one) for cost in self.costs.values()] for one in rows]
        return np.array(each, dtype=float).reshape(len(rows), len(self.costs))

    def _tell(self, rows: Sequence[Strategy], costs: Points) -> NDArray[np.float32]:
        """Features of strategies and logarithms of their costs, `[n, d]`."""
        logs = np.log(np.maximum(np.abs(costs), MIN_COST))
        return np.concatenate([self._describe.many(rows), logs], axis=1).astype(np.float32)

    def outcomes(self, model: FittedSurrogate, rows: Sequence[Strategy], images: int) -> Points:
        """Possible objectives of strategies on `images` images: `[groups, n, objectives]`."""
        costs = self._cost(rows)
        told = _with_images(self._tell(rows, costs), np.full(len(rows), images))
        found = np.empty((OUTCOMES, len(rows), len(self.names)))
        for index, one in zip(self.predicted, model.models, strict=True):
            found[:, :, index] = model.scales[index] * np.sinh(one.outcomes(told))
        for column, name in zip(costs.T, self.costs, strict=True):
            found[:, :, self.names.index(name)] = column
        return found

    def _cached_outcomes(
        self, model: FittedSurrogate, rows: Sequence[Strategy], images: int
    ) -> tuple[Points, list[float]]:
        """Outcomes and violations of strategies, kept as long as the model lasts."""
        if self._lasting[0] is not model or self._lasting[1] != images:
            self._lasting = model, images, {}
        known = self._lasting[2]
        new = [one for one in rows if one.digest not in known]
        if new:
            found = self.outcomes(model, new, images).swapaxes(0, 1)
            known |= {o.digest: (c, self.violation(o)) for o, c in zip(new, found, strict=True)}
        columns = [known[one.digest] for one in rows]
        return np.stack([one for one, _ in columns], axis=1), [outside for _, outside in columns]

    def rank_by_improvement(
        self,
        model: FittedSurrogate,
        history: History,
        rows: Sequence[Strategy],
        reference: Sequence[float],
        images: int,
        again: Sequence[Strategy] = (),
    ) -> list[int]:
        """Strategies by expected improvement of the front, infeasible ones last.

        Args:
            model: model of the history.
            history: finished evaluations.
            rows: strategies to choose from.
            reference: reference point.
            images: number of images of the rung that the front is on.
            again: further strategies that recur from call to call; their numbers follow the rows'.
        """
        front = self._front(history, images)
        outcomes, outside = self.outcomes(model, rows, images), [self.violation(o) for o in rows]
        if again:
            others, also = self._cached_outcomes(model, again, images)
            outcomes, outside = np.concatenate([outcomes, others], axis=1), outside + also
        added = hypervolume_improvement(outcomes.reshape(-1, len(self.names)), front, reference)
        expected = added.reshape(OUTCOMES, -1).mean(0)
        # Strategies that improve nothing in any outcome are ordered by their distance to the front.
        order = np.lexsort((_shortfall(outcomes.mean(0), front), -expected, np.array(outside)))
        return [int(index) for index in order]

    def _front(self, history: History, images: int) -> Points:
        """Front of the evaluations on `images` images."""
        rows = history.top(images)
        read, front = self._fronts.get(images, (0, np.empty((0, len(self.names)))))
        points = np.concatenate([front, history.objectives[rows[read:]]])
        front = points[nondominated(points)]
        self._fronts[images] = len(rows), front
        return front


def _size(finished: int) -> int:
    """Number of evaluations to fit to: one tenth more each time, so that fitting stays cheap."""
    size = MIN_EVALUATIONS
    while (larger := size + max(6, size // 10)) <= finished:
        size = larger
    return size if finished >= MIN_EVALUATIONS else 0


def _with_images(told: NDArray[np.float32], images: NDArray[np.intp]) -> NDArray[np.float32]:
    return np.column_stack([told, np.log2(np.maximum(1, images))]).astype(np.float32)


def _shortfall(points: Points, front: Points) -> Points:
    """Distance by which each point is worse than the front, in spans of the front."""
    if len(front) == 0:
        return np.zeros(len(points))
    span = np.ptp(front, axis=0)
    span[span == 0] = 1.0
    worse = (points[:, None, :] - front[None, :, :]) / span
    return np.asarray(worse.min(axis=2).max(axis=1))
