"""Choice by gain in hypervolume, and by gain per second, on strategies that were generated once.

    python -m benchmarks run gain_per_second tiny-sd

A small search on the tabular benchmark, in which nothing is guessed: it proposes measured
strategies only. Each proposal is the best of a random subset of those that are left, by the
expected gain in hypervolume divided by a power of the seconds that it takes. Power 0 is the rule of
the search. All else is the same: a start of random strategies, a rung of 4 and one of 16 images,
and the promotion of the best third. Compared are hypervolumes after equal device seconds. Writes
`benchmarks/results/gain_per_second-MODEL.json`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file
from scipy.stats import norm
from sklearn.ensemble import ExtraTreesRegressor

from accel.models.config import read_model
from benchmarks import entry
from benchmarks.search_quality.compare_searches import logarithms
from benchmarks.search_quality.significance import p_greater
from benchmarks.search_quality.table_lookup import LEAST, make_space
from evaluate.evaluator import real_images
from evaluate.speed.latency_table import LatencyTable
from evaluate.statistics.distances import frechet_paired, frechet_statistic
from search.pareto import hypervolume, hypervolume_improvement, nondominated
from search.surrogate.strategy_features import StrategyFeatures

RUNGS = (4, 16)  # Images of the first rung, and of all.
START, POOL, TREES, OUTCOMES = 30, 100, 40, 6
REDUCTION = 3  # One of this many is promoted.
MARKS = (60, 120, 180, 240)  # Device seconds.
POWERS = (0.0, 0.5, 1.0)
QUANTILES = 0.5 * norm.ppf((np.arange(OUTCOMES) + 0.5) / OUTCOMES)
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Measured strategies.

    Attributes:
        told: features of each, and the logarithm of its latency.
        distances: distance to the unaccelerated images on both rungs, `[n, 2]`.
        latency: seconds of one image.
        reference: worst point that counts.
    """

    told: Values
    distances: Values
    latency: Values
    reference: tuple[float, float]


def read(model: str) -> Measured:
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
    distances = [
        [max(LEAST, frechet_paired(own[:n], base[:n])(np.ones(n))) for n in RUNGS]
        for own in tensors["features"].astype(float)
    ]
    told = np.column_stack([StrategyFeatures(space).many(rows), np.log(latency)])
    real = frechet_statistic(base, real_images().statistics("bundled"))(np.ones(RUNGS[-1]))
    config = read_model(model)
    plain = table.predict(space.uniform(config.scheduler, config.steps))
    return Measured(told, np.array(distances, dtype=float), latency, (float(real), plain))


class Search:
    """One small search.

    Args:
        known: measured strategies.
        power: power of the seconds that gains are divided by.
        seed: seed of all random numbers.
    """

    def __init__(self, known: Measured, power: float, seed: int) -> None:
        self.known, self.power, self.seed = known, power, seed
        self._rng = np.random.default_rng(seed)
        self._order = self._rng.permutation(len(known.latency))
        self._tried: list[int] = []
        self._full: list[int] = []
        self._model: tuple[int, ExtraTreesRegressor] | None = None
        self.spent = 0.0

    def run(self) -> list[dict[str, float]]:
        """Hypervolumes after each of `MARKS`."""
        found, marks = [], list(MARKS)
        while marks:
            row = self._promotion()
            self._pay(row, RUNGS[1] - RUNGS[0]) if row is not None else self._try(self._choice())
            if row is not None:
                self._full.append(row)
            while marks and self.spent >= marks[0]:
                marks.pop(0)
                found.append(self.volumes())
        return found

    def _pay(self, row: int, images: int) -> None:
        self.spent += images * self.known.latency[row]

    def _try(self, row: int) -> None:
        self._tried.append(row)
        self._pay(row, RUNGS[0])

    def _points(self, rows: list[int], rung: int) -> Values:
        known = self.known
        return np.column_stack([known.distances[rows, rung], known.latency[rows]])

    def _promotion(self) -> int | None:
        """Strategy of the best third that is to be scored on all images, if there is one."""
        room, points = len(self._tried) // REDUCTION, self._points(self._tried, 0)
        left = list(range(len(self._tried)))
        best: list[int] = []
        while left and len(best) < room:
            front = [left[i] for i in nondominated(points[left])]
            best += front
            left = [row for row in left if row not in set(front)]
        waiting = [self._tried[i] for i in best[:room] if self._tried[i] not in self._full]
        return waiting[0] if waiting and len(self._full) < room else None

    def _choice(self) -> int:
        """The next strategy to try."""
        left = np.setdiff1d(self._order, self._tried)
        if len(self._tried) < START:
            return int(self._rng.choice(left))
        pool = self._rng.choice(left, min(POOL, len(left)), replace=False)
        told, latency = self.known.told[pool], self.known.latency[pool]
        trees = np.array([one.predict(told) for one in self._fitted().estimators_])
        logs = trees.mean(0) + QUANTILES[:, None] * trees.std(0)
        points = np.stack([np.exp(logs), np.broadcast_to(latency, logs.shape)], axis=-1)
        front = self._points(self._full, 1)
        front = front[nondominated(front)]
        reference = self.known.reference
        added = hypervolume_improvement(points.reshape(-1, 2), front, reference)
        gain = added.reshape(OUTCOMES, -1).mean(0) / latency**self.power
        return int(pool[int(np.argmax(gain))])

    def _fitted(self) -> ExtraTreesRegressor:
        count = len(self._tried)
        if self._model is None or count >= self._model[0] + max(6, self._model[0] // 10):
            made = ExtraTreesRegressor(
                TREES, min_samples_leaf=3, max_features=0.4, random_state=self.seed
            )
            values = np.log(self.known.distances[self._tried, 0])
            self._model = count, made.fit(self.known.told[self._tried], values)
        return self._model[1]

    def volumes(self) -> dict[str, float]:
        """Hypervolume of all that was scored on all images, plain and by logarithms."""
        points, reference = self._points(self._full, 1), self.known.reference
        return {
            "linear": hypervolume(points, reference),
            "logarithmic": hypervolume(logarithms(points, reference), (1.0, 1.0)),
        }


def compare(known: Measured, seeds: int) -> list[dict[str, Any]]:
    """One row for each power and mark: medians, and the chance that power 0 is not better."""
    runs = {power: [Search(known, power, seed).run() for seed in range(seeds)] for power in POWERS}
    rows = []
    for power, curves in runs.items():
        for index, mark in enumerate(MARKS):
            row: dict[str, Any] = {"power": power, "device_s": mark}
            for kind in ("linear", "logarithmic"):
                mine = [curve[index][kind] for curve in curves]
                plain = [curve[index][kind] for curve in runs[POWERS[0]]]
                row[kind] = round(median(mine), 4)
                row[f"{kind}_p"] = p_greater(mine, plain)
            rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("tiny-sd", "tiny-pixart"))
    parser.add_argument("--seeds", type=int, default=5)
    flags = parser.parse_args(arguments)
    known = read(flags.model)
    setting = {"model": flags.model, "seeds": flags.seeds, "strategies": len(known.latency)}
    found = setting | {"rows": compare(known, flags.seeds)}
    target = entry.RESULTS / f"gain_per_second-{flags.model}.json"
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for row in found["rows"]:
        print(row)


if __name__ == "__main__":
    main()
