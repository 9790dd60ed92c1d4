"""Fronts of several runs on one scale, and their hypervolumes below one common worst point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluate.statistics.bootstrap import Interval, around
from search.objectives.labels import title
from search.pareto import Points, hypervolume
from search.results.run import FrontPoint, Run, named_points
from search.study.evaluation import INITIAL, strategy_kind
from search.study.finalist_notes import FinalistNotes
from search.study.measurements import Measurements
from search.study.run_notes import RunNotes
from strategies import StrategyError

LATENCY = "latency_s"
BEYOND = 1.1  # Worst point in units of the worst loss, for runs that measured none.


@dataclass(frozen=True)
class RunFront:
    """Front of one run.

    Attributes:
        name: name of the run, different from those of the others.
        run: the run.
        points: points of its front, fastest first.
        losses: their losses, `[points, objectives]`.
        draws: the same on resamples of the held-out prompts; none for a search that is not
            finished, and for runs of versions that kept none.
        worst: worst losses that count for this run, or None.
    """

    name: str
    run: Run
    points: tuple[FrontPoint, ...]
    losses: Points
    draws: tuple[Points, ...]
    worst: NDArray[np.float64] | None

    @property
    def kinds(self) -> str:
        """Number of points of each kind: found by the search, initial strategy, baseline."""
        proposer = self.run.config.proposer
        counts = Counter(strategy_kind(one.origin, one.strategy, proposer) for one in self.points)
        words = {
            "found": ("found", "found"),
            INITIAL: ("initial strategy", "initial strategies"),
            "baseline": ("baseline", "baselines"),
        }
        return ", ".join(f"{counts[k]} {w[counts[k] > 1]}" for k, w in words.items() if counts[k])

    @property
    def speedups(self) -> dict[str, float]:
        """Speedups of the named points: fastest, knee, no loss."""
        return {name: one.scores["speedup"] for name, one in named_points(self.points).items()}

    @property
    def images(self) -> int:
        """Number of images that the points are scored on; 0 for an empty front."""
        return self.points[0].images if self.points else 0


@dataclass(frozen=True)
class RunComparison:
    """Several runs of one model on one scale.

    Attributes:
        objectives: names of the objectives.
        fronts: fronts of the runs, in the given order.
        held_out: whether scores are on held-out prompts; else on the search's own.
        relative: whether latency is a share of the unaccelerated pipeline's, as the runs were
            measured on different devices.
    """

    objectives: tuple[str, ...]
    fronts: tuple[RunFront, ...]
    held_out: bool
    relative: bool

    @cached_property
    def worst(self) -> tuple[float, ...]:
        """Common worst point: of each objective the worst loss that counts for any of the runs."""
        known = [one.worst for one in self.fronts if one.worst is not None]
        rows = known or [BEYOND * one.losses.max(0) for one in self.fronts if len(one.losses)]
        return tuple(float(value) for value in np.max(rows, axis=0))

    @cached_property
    def volumes(self) -> tuple[Interval, ...]:
        """Hypervolume of each front, with a 95 % interval over the held-out prompts."""
        return tuple(
            around(hypervolume(one.losses, self.worst), self._draws(one), one.images)
            for one in self.fronts
        )

    @cached_property
    def changes(self) -> tuple[Interval, ...]:
        """Hypervolume of every front but the first, minus that of the first.

        The same resamples are subtracted if both runs are scored on the same prompts.
        """
        first, *others = self.fronts
        mine = self._draws(first)
        found = []
        for volume, one in zip(self.volumes[1:], others, strict=True):
            theirs = self._draws(one)
            if not is_paired(first, one):
                theirs = theirs[::-1]  # Resamples of other prompts have nothing in common.
            both = [b - a for a, b in zip(mine, theirs, strict=False)]
            count = min(first.images, one.images)
            found.append(around(volume.value - self.volumes[0].value, both, count))
        return tuple(found)

    def dominated(self, one: RunFront) -> int:
        """Number of points of a front that a point of another front dominates."""
        others = [other.losses for other in self.fronts if other is not one and len(other.losses)]
        if not others:
            return 0
        rows = np.vstack(others)
        return sum(bool(((rows <= p).all(1) & (rows < p).any(1)).any()) for p in one.losses)

    def title(self, name: str) -> str:
        """Title of an objective on the scale of this comparison."""
        if name == LATENCY and self.relative:
            return "latency, share of the unaccelerated pipeline's"
        return title(name)

    def shown(self, one: RunFront, point: FrontPoint, name: str) -> float:
        """Score of a point on the scale of this comparison."""
        value = point.scores[name]
        return value / point.base[LATENCY] if name == LATENCY and self.relative else value

    def _draws(self, one: RunFront) -> list[float]:
        return [hypervolume(losses, self.worst) for losses in one.draws]


def compare_runs(runs: Sequence[Run]) -> RunComparison:
    """Compare runs of one model with the same objectives.

    Raises:
        StrategyError: fewer than two runs, one that is given twice, runs of different models or
            objectives, or one without any score.
    """
    if len(runs) < 2:
        raise StrategyError("give two runs or more to compare")
    names = _names([run.folder for run in runs])
    first = runs[0].config
    for name, run in zip(names, runs, strict=True):
        if run.config.model.name != first.model.name:
            raise StrategyError(
                f"{names[0]} is a search of {first.model.name} and {name} of "
                f"{run.config.model.name}; give runs of one model"
            )
        if run.config.objectives != first.objectives:
            raise StrategyError(
                f"{names[0]} has the objectives {', '.join(first.objectives)} and {name} "
                f"{', '.join(run.config.objectives)}; give runs with the same objectives"
            )
    held_out = all(run.finals for run in runs)
    devices = {Measurements(run.study).device for run in runs}
    relative = len(devices) > 1 and LATENCY in first.objectives
    fronts = [_front(name, run, held_out, relative) for name, run in zip(names, runs, strict=True)]
    return RunComparison(first.objectives, tuple(fronts), held_out, relative)


def is_paired(one: RunFront, other: RunFront) -> bool:
    """Whether two runs are scored on the same held-out prompts."""
    marks = [RunNotes.of(front.run.study).inputs for front in (one, other)]
    prompts = [None if row is None else row["marks"]["prompts"]["heldout"] for row in marks]
    return one.images == other.images and None not in prompts and prompts[0] == prompts[1]


def _names(folders: Sequence[Path]) -> list[str]:
    """Shortest endings of the folders' paths that differ from one another."""
    paths = [folder.resolve() for folder in folders]
    twice = next((one for one in paths if paths.count(one) > 1), None)
    if twice is not None:
        raise StrategyError(f"{twice} is given twice; give different runs")
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _front(name: str, run: Run, held_out: bool, relative: bool) -> RunFront:
    points = run.front() if held_out else run.search_front()
    objectives = run.config.objectives
    base = (points[0].base if points else run.base)[LATENCY] if relative else 1.0
    units = np.array([base if one == LATENCY else 1.0 for one in objectives])
    losses = np.array([one.objectives for one in points], dtype=float)
    losses = losses.reshape(len(points), len(objectives)) / units
    worst = Measurements(run.study).reference_point
    return RunFront(
        name,
        run,
        tuple(points),
        losses,
        tuple(_resampled(run, points, losses)) if held_out else (),
        None if worst is None else np.asarray(worst) / units,
    )


def _resampled(run: Run, points: Sequence[FrontPoint], losses: Points) -> list[Points]:
    """Losses of a front on every resample of its held-out prompts; none if any point lacks it."""
    notes, objectives = FinalistNotes(run.study), run.config.objectives
    rows: list[Points] = []
    for index, point in enumerate(points):
        figures = notes.held(point.strategy.digest, point.images).by_images.get(point.images)
        draws = {} if figures is None else figures.resampled_losses
        if not draws:
            return []
        length = len(next(iter(draws.values())))
        columns = [
            np.asarray(draws[name]) if name in draws else np.full(length, losses[index, column])
            for column, name in enumerate(objectives)
        ]
        rows.append(np.stack(columns, axis=1))
    return list(np.stack(rows, axis=1)) if rows else []
