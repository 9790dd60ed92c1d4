"""Importance of calls for quality: permutation importance of a forest of the search's evaluations.

Extremely randomised trees, as in `search.surrogate.gaussian_process`, are fitted to the first
objective of quality. Their inputs are the acts of every knob over normalised time. On folds that
the trees have not seen, one column after the other is shuffled, and the loss of R^2 is the
importance (Breiman, 2001, "Random forests", section 10; scikit-learn's `permutation_importance`).
It describes the search's own strategies, and correlated columns share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import KFold

from search import spaces
from search.results.run import Run
from search.study.evaluation import Evaluation, comparable
from search.surrogate.gaussian_process import TREES
from search.surrogate.strategy_features import BINS, StrategyFeatures
from search.surrogate.surrogate import MIN_EVALUATIONS, MIN_RANK_CORRELATION
from strategies import Gene, SearchSpace

FOLDS = 5
SHUFFLES = 5  # Shuffles of every column on every fold.


@dataclass(frozen=True)
class KnobImportance:
    """Importance of one knob: at each bin of normalised time, or one for the whole generation."""

    name: str
    values: NDArray[np.float64]

    @property
    def total(self) -> float:
        """Importance summed over its bins."""
        return float(self.values.sum())


@dataclass(frozen=True)
class Importance:
    """Importance of knobs, most important first.

    Attributes:
        quality: score that is predicted.
        evaluations: number of evaluations that it was fitted on.
        correlation: Spearman's correlation of predictions on unseen folds with measured values.
        rows: importance by knob; empty if there are too few evaluations.
    """

    quality: str
    evaluations: int
    correlation: float
    rows: tuple[KnobImportance, ...]

    @property
    def trusted(self) -> bool:
        """Whether the forest predicts well enough to be read."""
        return self.correlation >= MIN_RANK_CORRELATION


def importance(run: Run) -> Importance | None:
    """Importance from the evaluations on the most images; None if no objective is one of
    quality.
    """
    quality = run.config.metric_set.quality
    if quality is None:
        return None
    good = comparable(run.study.evaluations)
    if len(good) < MIN_EVALUATIONS:
        return Importance(quality, len(good), float("nan"), ())
    names, table = _columns(run, good)
    losses = np.array([e.objectives[run.config.objectives.index(quality)] for e in good])
    scale = float(np.quantile(np.abs(losses), 0.1)) or 1.0
    wanted = np.arcsinh(losses / scale)
    found, guessed = np.zeros(len(names)), np.zeros(len(good))
    for known, unseen in KFold(FOLDS, shuffle=True, random_state=0).split(table):
        trees = ExtraTreesRegressor(TREES, min_samples_leaf=2, max_features=0.4, random_state=0)
        trees.fit(table[known], wanted[known])
        guessed[unseen] = trees.predict(table[unseen])
        shuffled = permutation_importance(
            trees, table[unseen], wanted[unseen], scoring=_r2, n_repeats=SHUFFLES, random_state=0
        )
        found += shuffled.importances_mean / FOLDS
    correlation = float(np.nan_to_num(spearmanr(guessed, losses).statistic))
    values = {name: found[[n == name for n in names]] for name in dict.fromkeys(names)}
    rows = sorted((KnobImportance(*item) for item in values.items()), key=lambda row: -row.total)
    return Importance(quality, len(good), correlation, tuple(rows))


def _r2(trees: ExtraTreesRegressor, table: Any, wanted: NDArray[np.float64]) -> float:
    """Share of the variance that is predicted, faster than by many calls of a forest."""
    rows = np.asarray(table, dtype=np.float32)
    guessed = np.mean([tree.tree_.predict(rows).ravel() for tree in trees.estimators_], axis=0)
    whole = max(float(np.sum((wanted - wanted.mean()) ** 2)), 1e-12)
    return 1 - float(np.sum((wanted - guessed) ** 2)) / whole


def _columns(run: Run, rows: Sequence[Evaluation]) -> tuple[list[str], NDArray[np.float64]]:
    """Knob of each column, and the table `[n, columns]`."""
    space = _space(run, rows)
    describe = StrategyFeatures(space)
    names = ["solver", "steps"]
    whole = [gene for gene in space.global_genes if isinstance(gene, Gene)]
    names += [f"{gene.method}: {gene.knob}" for gene in whole]
    names += [f"{one.method}: {one.knob}" for one in describe.knobs for _ in range(BINS)]
    table = []
    for row in rows:
        strategy = row.strategy.canonical()
        solvers = [*space.solvers, strategy.solver_text]
        line = [float(solvers.index(strategy.solver_text)), float(strategy.steps)]
        for gene in whole:
            knobs = strategy.methods.get(gene.method)
            value = None if knobs is None else getattr(knobs, gene.knob)
            line.append(float(value) if isinstance(value, int | float) else -1.0)
        line += describe.strengths(strategy).ravel().tolist() if describe.knobs else []
        table.append(line)
    return names, np.array(table)


def _space(run: Run, rows: Sequence[Evaluation]) -> SearchSpace:
    """The run's space without its model; the numbers of calls come from the evaluations."""
    settings = run.config.space
    known = {(e.strategy.solver_text, e.strategy.steps): e.strategy.calls for e in rows}
    pairs = ((s, n) for s in settings["schedulers"] for n in settings["steps"])
    calls = {pair: known.get(pair, pair[1]) for pair in pairs}
    return spaces.with_calls(settings, rows[0].strategy.family, calls)
