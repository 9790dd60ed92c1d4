"""Finished evaluations as arrays, kept up to date with the study, for proposers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.study.evaluation import Evaluation

Rows = NDArray[np.intp]


class History:
    """Finished evaluations in the order in which they finished.

    It depends on these alone, not on how often or how far it was read before.

    Attributes:
        evaluations: all evaluations that were read.
        good: evaluations that succeeded; the arrays have one row for each.
        numbers: row of each finished proposal by its number; None if it failed.
    """

    def __init__(self) -> None:
        self.evaluations: list[Evaluation] = []
        self.good: list[Evaluation] = []
        self.numbers: dict[int, int | None] = {}
        self._objectives = self._violations = np.empty(0)
        self._images = np.empty(0, dtype=np.intp)
        self._newest: dict[str, int] = {}
        self._superseded = np.empty(0, dtype=bool)

    def read(self, finished: Sequence[Evaluation]) -> History:
        """Take in what has finished since the last time; returns itself.

        Args:
            finished: all finished evaluations; those that were read before come first.
        """
        for evaluation in finished[len(self.evaluations) :]:
            self.evaluations.append(evaluation)
            self.numbers[evaluation.number] = len(self.good) if evaluation.succeeded else None
            if evaluation.succeeded:
                self._add(evaluation)
        return self

    def _add(self, evaluation: Evaluation) -> None:
        row = len(self.good)
        if row == len(self._superseded):
            self._grow(2 * row + 64, len(evaluation.objectives))
        self.good.append(evaluation)
        self._objectives[row] = evaluation.objectives
        self._violations[row] = evaluation.violation
        self._images[row] = evaluation.images
        former = self._newest.get(evaluation.strategy.digest)
        # A strategy counts with the scores of its largest set of prompts.
        if former is not None and self._images[former] > evaluation.images:
            self._superseded[row] = True
            return
        if former is not None:
            self._superseded[former] = True
        self._newest[evaluation.strategy.digest] = row

    def _grow(self, size: int, width: int) -> None:
        def larger(old: NDArray[Any], *shape: int) -> NDArray[Any]:
            new = np.zeros((size, *shape), dtype=old.dtype)
            if len(self.good):
                new[: len(self.good)] = old[: len(self.good)]
            return new

        self._objectives = larger(self._objectives, width)
        self._violations = larger(self._violations)
        self._images = larger(self._images)
        self._superseded = larger(self._superseded)

    def __len__(self) -> int:
        return len(self.good)

    @property
    def objectives(self) -> NDArray[np.float64]:
        """Losses, which are minimised, `[n, objectives]`."""
        return self._objectives[: len(self.good)].reshape(len(self.good), -1)

    @property
    def violations(self) -> NDArray[np.float64]:
        """Distance of each evaluation beyond the constraints, `[n]`; 0 is feasible."""
        return self._violations[: len(self.good)]

    @property
    def images(self) -> NDArray[np.intp]:
        """Number of images that each evaluation was scored on, `[n]`."""
        return self._images[: len(self.good)]

    def rungs(self) -> list[Rows]:
        """Rows by number of images, the largest number first.

        A strategy is only in its highest rung. Scores of different rungs cannot be compared.
        """
        alive = ~self._superseded[: len(self.good)]
        levels = np.unique(self.images[alive])[::-1]
        return [np.flatnonzero(alive & (self.images == level)) for level in levels]

    def top(self, images: int) -> Rows:
        """Feasible rows that were scored on `images` images."""
        return np.flatnonzero((self.images == images) & (self.violations <= 0))
