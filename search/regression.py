"""Losses of strategies predicted: a linear model, and trees for what it leaves.

Ridge regression (scikit-learn's, its penalty by leave-one-out) carries what trees cannot, a trend
beyond what was seen; extremely randomised trees (Geurts, Ernst, Wehenkel, 2006) learn the rest, and
their spread says how sure the prediction is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

TREES = 60
GROUPS = 6  # Of trees; each group's mean is one possible outcome.
PENALTIES = np.logspace(-1, 4, 11)

Rows = NDArray[np.float32]
Values = NDArray[np.float64]


class Regression:
    """Fitted on creation.

    Args:
        told: what is known of each strategy, `[n, d]`.
        values: to predict, `[n]`.
        seed: of the trees.

    Attributes:
        unseen: predictions of the same rows by what was not fitted on them, `[n]`.
    """

    def __init__(self, told: Rows, values: Values, seed: int) -> None:
        self._scale = StandardScaler().fit(told)
        scaled = self._scale.transform(told)
        # With a scoring, what is kept are predictions of each row by the others.
        self._line = RidgeCV(
            PENALTIES, scoring="neg_mean_squared_error", store_cv_results=True
        ).fit(scaled, values)
        left = values - self._line.predict(scaled)
        self._trees = ExtraTreesRegressor(
            TREES,
            min_samples_leaf=2,
            max_features=0.4,
            bootstrap=True,
            oob_score=True,
            random_state=seed,
        ).fit(told, left)
        chosen = int(np.flatnonzero(self._line.alpha_ == PENALTIES)[0])
        self.unseen: Values = self._line.cv_results_[:, chosen] + self._trees.oob_prediction_

    def outcomes(self, told: Rows) -> Values:
        """Possible values, `[GROUPS, n]`."""
        each = np.array([tree.tree_.predict(told).ravel() for tree in self._trees.estimators_])
        left = each.reshape(GROUPS, -1, len(told)).mean(1)
        found: Values = self._line.predict(self._scale.transform(told)) + left
        return found
