"""What a search expects of strategies that nobody has drawn yet.

Costs are exact, from the tables; the other objectives are predicted by extremely randomised trees
(Geurts, Ernst, Wehenkel, 2006; scikit-learn's), whose spread says how sure the prediction is. Of a
pool of strategies the one is chosen that may add most to the hypervolume of the front (the expected
hypervolume improvement of Emmerich, Deutz, Klinkenberg, 2011, over the trees). The model is held
against what it has not seen, out of bag, and is not used while its ranks are poor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor

from search.description import Description
from search.front import nondominated
from search.history import History
from strategies import SearchSpace, Strategy

TREES = 60
GROUPS = 6  # Of trees; each group's mean is one possible outcome.
FEWEST = 30  # Evaluations before a model is worth fitting.
LINEAR = 0.02  # Share of the evaluations whose losses are so small that they count as they are.
TRUST = 0.6  # Spearman's correlation with what is out of bag, at least.

Costs = Mapping[str, Callable[[Strategy], float]]
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model of one state of the history.

    Attributes:
        trees: of every predicted objective, in order.
        scales: of every objective; above its scale it counts by its logarithm.
        correlation: the lowest of Spearman's out-of-bag correlations.
    """

    trees: tuple[ExtraTreesRegressor, ...]
    scales: Points
    correlation: float

    @property
    def trusted(self) -> bool:
        """Whether its ranks are good enough to choose by."""
        return self.correlation >= TRUST


class Surrogate:
    """Predictions from the finished evaluations.

    Whatever it keeps only saves time: one made afresh predicts the same.

    Args:
        space: of the search.
        names: of the objectives.
        costs: of those that follow from tables, how.
        seed: of the trees.
        violation: how far a strategy is outside the limits on what follows from tables; 0 is
            within them.
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
        self._describe = Description(space)
        self.predicted = [i for i, name in enumerate(self.names) if name not in costs]
        self._told: list[NDArray[np.float32]] = []
        self._fitted: tuple[int, Fitted] | None = None

    def fitted(self, history: History) -> Fitted | None:
        """The model of as many evaluations as the schedule says; None while there are too few."""
        size = _size(len(history))
        if size < FEWEST or not self.predicted:
            return None
        if self._fitted is None or self._fitted[0] != size:
            self._fitted = size, self._fit(history, size)
        return self._fitted[1]

    @property
    def words(self) -> str:
        """For people: whether children are screened, and how good the model is."""
        if self._fitted is None:
            return f"not before {FEWEST} evaluations" if self.predicted else "nothing to predict"
        model = self._fitted[1]
        words = f"rank correlation {model.correlation:.2f}"
        return words if model.trusted else f"off, {words} is below {TRUST}"

    def _fit(self, history: History, size: int) -> Fitted:
        for one in history.good[len(self._told) : size]:
            self._told.append(self._describe(one.strategy))
        told = _with_images(np.array(self._told[:size]), history.images[:size])
        scales = np.quantile(np.abs(history.objectives[:size]), LINEAR, axis=0)
        scales[scales == 0] = 1.0
        trees, ranks = list[ExtraTreesRegressor](), list[float]()
        for index in self.predicted:
            losses = history.objectives[:size, index]
            model = ExtraTreesRegressor(
                TREES,
                min_samples_leaf=2,
                max_features=0.4,
                bootstrap=True,
                oob_score=True,
                random_state=self.seed,
            ).fit(told, np.arcsinh(losses / scales[index]))
            trees.append(model)
            ranks.append(float(spearmanr(model.oob_prediction_, losses).statistic))
        return Fitted(tuple(trees), scales, float(np.nan_to_num(min(ranks))))

    def outcomes(self, model: Fitted, rows: Sequence[Strategy], images: int) -> Points:
        """Possible objectives of strategies scored on so many images: `[groups, n, objectives]`."""
        told = _with_images(self._describe.rows(rows), np.full(len(rows), images))
        found = np.empty((GROUPS, len(rows), len(self.names)))
        for index, trees in zip(self.predicted, model.trees, strict=True):
            each = np.array([tree.tree_.predict(told).ravel() for tree in trees.estimators_])
            means = each.reshape(GROUPS, -1, len(rows)).mean(1)
            found[:, :, index] = model.scales[index] * np.sinh(means)
        for index, name in enumerate(self.names):
            if name in self.costs:
                found[:, :, index] = [self.costs[name](one) for one in rows]
        return found

    def order(
        self,
        model: Fitted,
        history: History,
        rows: Sequence[Strategy],
        reference: Sequence[float],
        images: int,
    ) -> list[int]:
        """Rows by what they may add to the front, most first; what breaks a limit comes last.

        Args:
            model: of the history.
            rows: strategies to choose from.
            reference: the worst point that counts.
            images: of the rung that the front is on.
        """
        points = history.objectives[history.top(images)]
        # By logarithms, so that a factor counts alike at the slow end and at the fast end.
        front = np.arcsinh(points[nondominated(points)] / model.scales)
        outcomes = np.arcsinh(self.outcomes(model, rows, images) / model.scales)
        worst = np.arcsinh(np.asarray(reference) / model.scales)
        before = _volume(front, worst)
        behind = np.all(front <= outcomes[:, :, None], axis=3)
        new: NDArray[np.bool_] = np.asarray(~behind.any(axis=2))
        gains = [
            sum(_volume(np.vstack([front, one]), worst) - before for one in outcomes[new[:, i], i])
            for i in range(len(rows))
        ]
        # What adds nothing in any outcome goes by how near it comes to adding something.
        outside = np.array([self.violation(one) for one in rows])
        order = np.lexsort((_shortfall(outcomes.mean(0), front), -np.array(gains), outside))
        return [int(index) for index in order]


def _size(finished: int) -> int:
    """Evaluations to fit on: refitted after each tenth more, so that fitting stays cheap."""
    size = FEWEST
    while (larger := size + max(6, size // 10)) <= finished:
        size = larger
    return size if finished >= FEWEST else 0


def _with_images(told: NDArray[np.float32], images: NDArray[np.intp]) -> NDArray[np.float32]:
    return np.column_stack([told, np.log2(np.maximum(1, images))]).astype(np.float32)


def _volume(points: Points, reference: Points) -> float:
    inside = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0


def _shortfall(points: Points, front: Points) -> Points:
    """How much worse than the front each point is, in spans of the front."""
    if len(front) == 0:
        return np.zeros(len(points))
    span = np.ptp(front, axis=0)
    span[span == 0] = 1.0
    worse = (points[:, None, :] - front[None, :, :]) / span
    return np.asarray(worse.min(axis=2).max(axis=1))
