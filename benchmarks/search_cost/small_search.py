"""A small search of strategies that were generated once, whose rules can be set one by one.

It proposes measured strategies of the tabular benchmark only, so nothing is guessed. It has the
parts of the real search: a random start, screening by a regression on the first rung, rungs, and
the promotion of the best.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file
from scipy.stats import norm
from sklearn.ensemble import ExtraTreesRegressor

from accel.models.config import read_model
from benchmarks import entry
from benchmarks.search_quality.compare_searches import logarithms
from benchmarks.search_quality.table_lookup import LEAST, make_space
from evaluate.evaluator import real_images
from evaluate.speed.latency_table import LatencyTable
from evaluate.statistics.distances import frechet_paired, frechet_statistic
from search.pareto import hypervolume, hypervolume_improvement, nondominated
from search.surrogate.strategy_features import StrategyFeatures

IMAGES = (2, 4, 8, 16)  # Images that a strategy can be scored on.
TREES, OUTCOMES = 40, 6
QUANTILES = 0.5 * norm.ppf((np.arange(OUTCOMES) + 0.5) / OUTCOMES)
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Rules:
    """Rules of a small search; the defaults are like those of the real one.

    Attributes:
        rungs: images of each rung, all of `IMAGES`.
        reduction: one of this many is promoted.
        power: power of the seconds that expected gains are divided by.
        pool: random strategies of which the best is tried.
        start: random strategies that are tried first.
        start_power: power of the seconds that the chance to be among them is divided by.
        promoted_power: power of the seconds that the gain in hypervolume on the lower rung is
            divided by; the largest of the best third is promoted first. None goes by rank.
    """

    rungs: tuple[int, ...] = (4, 16)
    reduction: int = 3
    power: float = 0.0
    pool: int = 100
    start: int = 30
    start_power: float = 0.0
    promoted_power: float | None = None


@dataclass(frozen=True)
class Measured:
    """Measured strategies.

    Attributes:
        inputs: features of each, and the logarithm of its latency.
        distances: distance to the unaccelerated images by number of images.
        latency: seconds of one image.
        reference: worst point that counts.
    """

    inputs: Values
    distances: dict[int, Values]
    latency: Values
    reference: tuple[float, float]


@dataclass(frozen=True)
class Volumes:
    """Hypervolumes of a search after some device seconds, plain and by logarithms."""

    seconds: float
    linear: float
    logarithmic: float


def read_measured(model: str) -> Measured:
    """The strategies of a model's table that were generated."""
    path = entry.TABLES / f"{model}.safetensors"
    tensors = load_file(path)
    with safe_open(path, "np") as file:
        notes: dict[str, str] = file.metadata()
    space = make_space(model, json.loads(notes["space"]))
    table = LatencyTable.model_validate_json(notes["latency"])
    rows = [space.decode(tuple(map(int, genome))) for genome in tensors["genomes"]]
    latency = np.array([table.predict(one) for one in rows])
    base = tensors["unaccelerated"].astype(float)
    samples = tensors["features"].astype(float)
    distances = {
        count: np.array(
            [max(LEAST, frechet_paired(o[:count], base[:count])(np.ones(count))) for o in samples]
        )
        for count in IMAGES
    }
    inputs = np.column_stack([StrategyFeatures(space).many(rows), np.log(latency)])
    real = frechet_statistic(base, real_images().statistics("bundled"))(np.ones(len(base)))
    config = read_model(model)
    plain = table.predict(space.uniform(config.scheduler, config.steps))
    return Measured(inputs, distances, latency, (float(real), plain))


class SmallSearch:
    """One small search.

    Args:
        known: measured strategies.
        rules: rules of the search.
        seed: seed of all random numbers.
    """

    def __init__(self, known: Measured, rules: Rules, seed: int) -> None:
        self.known, self.rules, self.seed = known, rules, seed
        self._rng = np.random.default_rng(seed)
        self._done: list[list[int]] = [[] for _ in rules.rungs]
        self._model: tuple[int, ExtraTreesRegressor] | None = None
        self.spent = 0.0

    @property
    def tried(self) -> list[int]:
        """Strategies of the first rung, in the order in which they were tried."""
        return self._done[0]

    def run(self, seconds: float) -> list[Volumes]:
        """Hypervolumes after each strategy that was scored on all images."""
        curve: list[Volumes] = []
        while self.spent < seconds:
            if self.step() == len(self._done) - 1:
                curve.append(self.volumes())
        return curve

    def step(self) -> int:
        """Score one strategy on one rung, and return the number of that rung."""
        promoted = self._promotion()
        rung, row = (0, self._choice()) if promoted is None else promoted
        images = self.rules.rungs[rung] - (self.rules.rungs[rung - 1] if rung else 0)
        self.spent += images * self.known.latency[row]
        self._done[rung].append(row)
        return rung

    def volumes(self) -> Volumes:
        """Hypervolumes of all that was scored on all images."""
        points, reference = self._points(len(self._done) - 1), self.known.reference
        by_logarithms = hypervolume(logarithms(points, reference), (1.0, 1.0))
        return Volumes(self.spent, hypervolume(points, reference), by_logarithms)

    def _points(self, rung: int) -> Values:
        """Distance and latency of the strategies of a rung."""
        rows = self._done[rung]
        distances = self.known.distances[self.rules.rungs[rung]]
        return np.column_stack([distances[rows], self.known.latency[rows]])

    def _promotion(self) -> tuple[int, int] | None:
        """Rung and strategy of the best that is to be promoted, if there is one."""
        for rung in range(len(self._done) - 1, 0, -1):
            below, there = self._done[rung - 1], self._done[rung]
            room = len(below) // self.rules.reduction
            if len(there) >= room:
                continue
            points = self._points(rung - 1)
            left, best = list(range(len(below))), list[int]()
            while left and len(best) < room:
                front = [left[index] for index in nondominated(points[left])]
                best += front
                left = [index for index in left if index not in set(front)]
            waiting = [below[index] for index in best[:room] if below[index] not in there]
            if waiting:
                return rung, self._next(waiting, rung)
        return None

    def _next(self, waiting: list[int], rung: int) -> int:
        """Strategy of the best third that is promoted first."""
        if self.rules.promoted_power is None:
            return waiting[0]
        latency = self.known.latency[waiting]
        distances = self.known.distances[self.rules.rungs[rung - 1]][waiting]
        front = self._points(rung)
        front = front[nondominated(front)] if len(front) else front
        points = np.column_stack([distances, latency])
        gain = hypervolume_improvement(points, front, self.known.reference)
        return waiting[int(np.argmax(gain / latency**self.rules.promoted_power))]

    def _choice(self) -> int:
        """The next strategy to try."""
        left = np.setdiff1d(np.arange(len(self.known.latency)), self.tried)
        if len(self.tried) < self.rules.start:
            if not self.rules.start_power:
                return int(self._rng.choice(left))
            weights = self.known.latency[left] ** -self.rules.start_power
            return int(self._rng.choice(left, p=weights / weights.sum()))
        pool = self._rng.choice(left, min(self.rules.pool, len(left)), replace=False)
        inputs, latency = self.known.inputs[pool], self.known.latency[pool]
        trees = np.array([one.predict(inputs) for one in self._fitted().estimators_])
        logs = trees.mean(0) + QUANTILES[:, None] * trees.std(0)
        points = np.stack([np.exp(logs), np.broadcast_to(latency, logs.shape)], axis=-1)
        front = self._points(len(self._done) - 1)
        front = front[nondominated(front)]
        added = hypervolume_improvement(points.reshape(-1, 2), front, self.known.reference)
        gain = added.reshape(OUTCOMES, -1).mean(0) / latency**self.rules.power
        return int(pool[int(np.argmax(gain))])

    def _fitted(self) -> ExtraTreesRegressor:
        count = len(self.tried)
        if self._model is None or count >= self._model[0] + max(6, self._model[0] // 10):
            made = ExtraTreesRegressor(
                TREES, min_samples_leaf=3, max_features=0.4, random_state=self.seed
            )
            values = np.log(self.known.distances[self.rules.rungs[0]][self.tried])
            self._model = count, made.fit(self.known.inputs[self.tried], values)
        return self._model[1]
