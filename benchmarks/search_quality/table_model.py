"""Model of the tabular benchmark for strategies that were not generated."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.preprocessing import StandardScaler

WIDTHS_FROM = 800  # Strategies that the process's kernel is fitted to; more take minutes.


class Mixture:
    """The mean of boosted trees and a Gaussian process, of another kind than the search's model."""

    def fit(self, told: NDArray[np.float64], values: NDArray[np.float64]) -> Mixture:
        self._scale = StandardScaler().fit(told)
        scaled = self._scale.transform(told)
        self._trees = HistGradientBoostingRegressor(
            learning_rate=0.05, max_iter=400, min_samples_leaf=8, random_state=0
        ).fit(told, values)
        width = np.sqrt(told.shape[1])
        kernel = ConstantKernel(4.0) * RBF(width, (width / 10, width * 10)) + WhiteKernel(0.1)
        process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        few = np.random.default_rng(0).permutation(len(values))[:WIDTHS_FROM]
        kernel = process.fit(scaled[few], values[few]).kernel_
        self._process = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        self._process.fit(scaled, values)
        return self

    def predict(self, told: NDArray[np.float64]) -> NDArray[np.float64]:
        process = self._process.predict(self._scale.transform(told))
        found: NDArray[np.float64] = (self._trees.predict(told) + process) / 2
        return found


class Shift:
    """Relation of a metric on fewer images to that on all: a line, and scatter by the strategy."""

    def fit(self, whole: NDArray[np.float64], fewer: NDArray[np.float64]) -> Shift:
        self.line = np.polyfit(whole, fewer, 1)
        self.spread = float(np.std(fewer - np.polyval(self.line, whole)))
        return self

    def draw(self, value: float, digest: str) -> float:
        seed = int.from_bytes(hashlib.sha256(digest.encode()).digest()[:8], "big")
        noise = np.random.default_rng(seed).normal() * self.spread
        return float(np.polyval(self.line, value) + noise)
