"""Device time after which a search has reached a hypervolume, by its own scores and held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from accel.models.config import read_model
from benchmarks.search_quality.compare_searches import logarithms
from evaluate import Evaluator
from evaluate.evaluator import real_images
from evaluate.statistics.distances import frechet_paired, frechet_statistic
from search.pareto import hypervolume, select_subset
from search.results.run import Run
from search.study.evaluation import Evaluation
from search.study.measurements import Measurements
from strategies import Strategy

POINTS = 8  # Strategies of a front that are scored on held-out prompts.
MARKS = (0.15, 0.2, 0.25, 0.33, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)  # Shares of the other's time.
KINDS = ("linear", "logarithmic")
Points = NDArray[np.float64]


def volumes(points: Points, worst: float) -> dict[str, float]:
    """Hypervolumes of distances and latencies, which are shares of the unaccelerated latency."""
    reference = (worst, 1.0)
    if not len(points):
        return dict.fromkeys(KINDS, 0.0)
    return {
        "linear": hypervolume(points, reference),
        "logarithmic": hypervolume(logarithms(points, reference), (1.0, 1.0)),
    }


@dataclass(frozen=True)
class Curve:
    """Evaluations of one search, and the device time at which each was there.

    Attributes:
        rows: finished evaluations.
        seconds: device time of everything up to and with each of them.
        full: number of images of the highest rung.
        distance: name of the objective that is no latency.
        worst: worst value of it that counts.
    """

    rows: Sequence[Evaluation]
    seconds: Sequence[float]
    full: int
    distance: str
    worst: float

    @classmethod
    def of(cls, run: Run) -> Curve:
        """Curve of a run."""
        before = Measurements(run.study).seconds
        seconds = before + np.cumsum([one.seconds for one in run.study.evaluations])
        names = list(run.config.objectives)
        (place,) = (i for i, name in enumerate(names) if not name.startswith("latency"))
        reference = Measurements(run.study).reference_point
        assert reference is not None
        full = run.config.ladder[-1]
        rows = run.study.evaluations
        return cls(rows, seconds.tolist(), full, names[place], reference[place])

    def after(self, evaluations: int) -> float:
        """Device time of the first so many evaluations; infinite if there are fewer."""
        return self.seconds[evaluations - 1] if evaluations <= len(self.seconds) else inf

    def until(self, seconds: float) -> list[Evaluation]:
        """Evaluations on all images that were there at a device time."""
        pairs = zip(self.rows, self.seconds, strict=True)
        return [
            one for one, at in pairs if at <= seconds and one.succeeded and one.images == self.full
        ]

    def points(self, rows: Sequence[Evaluation]) -> Points:
        """Distances, and latencies as shares of the unaccelerated one, `[n, 2]`."""
        found = [(one.scores[self.distance], 1 / one.scores["speedup"]) for one in rows]
        return np.array(found, dtype=float).reshape(len(rows), 2)

    def reached(self, goal: float, kind: str, worst: float) -> float:
        """Device time at which the search's own scores reach a hypervolume; infinite if never."""
        for one, at in zip(self.rows, self.seconds, strict=True):
            new = one.succeeded and one.images == self.full
            if new and volumes(self.points(self.until(at)), worst)[kind] >= goal:
                return at
        return inf


class Heldout:
    """Scores of strategies on held-out prompts; features that were generated are kept.

    Args:
        model: name of a bundled model.
        images: number of held-out images of each strategy.
        folder: folder of the features.
    """

    def __init__(self, model: str, images: int, folder: Path) -> None:
        self._evaluator = Evaluator(read_model(model), keep_embeddings=True)
        self._images, self._folder = images, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._base = self._features(self._evaluator.unaccelerated)
        real = real_images().statistics("bundled")
        self.worst = float(frechet_statistic(self._base, real)(np.ones(images)))

    def _features(self, strategy: Strategy) -> Points:
        path = self._folder / f"{self._images}-{strategy.digest}.safetensors"
        if not path.exists():
            chosen = self._evaluator.prompts["heldout"].first(self._images)
            found = self._evaluator.generate("held out", strategy, chosen).features("bundled")
            part = path.with_suffix(".part")
            save_file({"features": np.asarray(found, np.float32)}, part)
            part.replace(path)
        return load_file(path)["features"].astype(float)

    def volumes(self, curve: Curve, seconds: float) -> dict[str, float]:
        """Held-out hypervolumes of the front that a search has at a device time."""
        rows = curve.until(seconds)
        points = curve.points(rows)
        logs = logarithms(points, (self.worst, 1.0))
        front = [rows[i] for i in select_subset(logs, (1.0, 1.0), POINTS)] if rows else []
        weights = np.ones(self._images)
        distances = [
            float(frechet_paired(self._features(one.strategy), self._base)(weights))
            for one in front
        ]
        shares = [1 / one.scores["speedup"] for one in front]
        return volumes(np.array([distances, shares]).T.reshape(-1, 2), self.worst)

    def reached(self, curve: Curve, goal: float, kind: str, whole: float) -> float:
        """First of the marks, as device time, at which the held-out front reaches a hypervolume.

        Args:
            curve: the search.
            goal: hypervolume to reach.
            kind: one of `KINDS`.
            whole: device time that the marks are shares of.
        """
        return first(lambda at: self.volumes(curve, at)[kind] >= goal, [m * whole for m in MARKS])


def first(holds: Callable[[float], bool], marks: Sequence[float]) -> float:
    """The first mark at which something holds; infinite if it never does."""
    return next((mark for mark in marks if holds(mark)), inf)
