"""Gaussian process over the features that matter, which predicts losses of strategies.

A strategy has many features, few of which matter, and a kernel that treats them alike learns
slowly. So each feature is scaled by its importance in extremely randomised trees (Geurts, Ernst,
Wehenkel, 2006). Then follows a Matern kernel (scikit-learn's, its parameters by marginal
likelihood).
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.stats import norm
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel
from sklearn.preprocessing import StandardScaler

OUTCOMES = 6  # Number of possible outcomes, equally likely.
TREES = 100
IMPORTANCE_EXPONENT = 0.75  # Exponent of a feature's importance, for its scale.
IMPORTANCE_FLOOR = 0.05  # Importance of every feature, in shares of the mean.
KERNEL_FIT_ROWS = 300  # Rows that the kernel's parameters are fitted to.
MAX_ROWS = 500  # Rows that the process is fitted to, at most.
# Factor of the posterior's deviation; 1 explores too much for a few hundred evaluations.
EXPLORATION = 0.5
QUANTILES = EXPLORATION * norm.ppf((np.arange(OUTCOMES) + 0.5) / OUTCOMES)

Rows = NDArray[np.float32]
Values = NDArray[np.float64]


class GaussianProcess:
    """Gaussian process, fitted on creation.

    Args:
        told: features of each strategy, `[n, d]`.
        values: values to predict, `[n]`.
        seed: seed of the trees.

    Attributes:
        kept: rows that it is fitted to; all of them up to `MAX_ROWS`.
        unseen: prediction of each of these from the others (Rasmussen, Williams, 2006, eq. 5.12).
    """

    def __init__(self, told: Rows, values: Values, seed: int) -> None:
        self.kept = _kept(len(told))
        told, values = told[self.kept], values[self.kept]
        self._scaler = StandardScaler().fit(told)
        self._scales = _scales(self._scaler.transform(told), values, seed)
        scaled = self._scaled(told)
        kernel = _kernel(scaled, values, seed)
        process = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        self._process = process.fit(scaled, values)
        self._inverse = cho_solve((process.L_, True), np.eye(len(values)))
        self._mean, self._spread = float(np.mean(values)), float(np.std(values)) or 1.0
        weights = process.alpha_.ravel()
        self.unseen: Values = values - self._spread * weights / np.diag(self._inverse)

    def _scaled(self, told: Rows) -> Values:
        # As the scaler's `transform` has it, which checks for longer than it scales.
        mean, spread = self._scaler.mean_, self._scaler.scale_
        found: Values = (told - mean.astype(told.dtype)) / spread.astype(told.dtype) * self._scales
        return found

    def outcomes(self, told: Rows) -> Values:
        """Possible values, `[OUTCOMES, n]`: quantiles of the posterior, narrowed by `EXPLORATION`.

        They leave out the noise of single strategies, which the features do not explain.
        """
        scaled, process = self._scaled(told), self._process
        # As `predict` has it, which takes three times as long for a few rows.
        near = process.kernel_(scaled, process.X_train_)
        mean = self._mean + self._spread * near @ process.alpha_.ravel()
        left = process.kernel_.k1.diag(scaled) - ((near @ self._inverse) * near).sum(1)
        found: Values = mean + QUANTILES[:, None] * self._spread * np.sqrt(np.maximum(left, 0))
        return found


def _kept(count: int) -> NDArray[np.intp]:
    """Rows to fit to, at most `MAX_ROWS`.

    Half of them are the newest, which lie near the front; half are spread over the others.
    """
    if count <= MAX_ROWS:
        return np.arange(count)
    newest = count - MAX_ROWS // 2
    return np.concatenate(
        [np.linspace(0, newest - 1, MAX_ROWS // 2).astype(np.intp), np.arange(newest, count)]
    )


def _scales(scaled: Values, values: Values, seed: int) -> Values:
    """Scale of each feature, `[d]`; their mean square is 1."""
    trees = ExtraTreesRegressor(TREES, min_samples_leaf=3, max_features=0.4, random_state=seed).fit(
        scaled, values
    )
    importances = trees.feature_importances_ * scaled.shape[1]
    scales = (importances + IMPORTANCE_FLOOR) ** IMPORTANCE_EXPONENT
    found: Values = scales / np.sqrt(np.mean(scales**2))
    return found


def _kernel(scaled: Values, values: Values, seed: int) -> Kernel:
    """Kernel whose parameters are fitted to some of the rows."""
    width = np.sqrt(scaled.shape[1])
    matern = Matern(width, (width / 10, width * 10), nu=1.5)
    kernel = ConstantKernel(4.0) * matern + WhiteKernel(0.1)
    few = np.random.default_rng(seed).permutation(len(values))[:KERNEL_FIT_ROWS]
    process = GaussianProcessRegressor(kernel, normalize_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # At a bound it is good enough.
        return process.fit(scaled[few], values[few]).kernel_
