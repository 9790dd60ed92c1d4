"""NSGA-II (Deb et al., 2002) in steady state, with operators made for schedules."""

from __future__ import annotations

from typing import Any

from search.history import History
from search.proposers import genetic, operators
from search.proposers.base import Settings, Source
from strategies.space import Genome


class NSGA2(Source):
    """One child of two of the best evaluations, whenever a worker is free."""

    name = "nsga2"
    about = "NSGA-II, steady state, operators made for schedules"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._drawn: tuple[tuple[int, int], Any] | None = None

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        rng = self.stream(number, attempt)
        if len(history) < 2:
            return self.anything(rng)
        along = self.along(history)
        best = self._population(number, history, along)
        mother, father = genetic.pair(best, along, rng)
        good = history.good
        return operators.child(self.space, good[mother].genome, good[father].genome, rng)

    def _population(self, number: int, history: History, along: genetic.Directions | None) -> Any:
        """Drawn from a stream of the proposal's own, and the same for its further attempts."""
        key = number, len(history)
        if self._drawn is None or self._drawn[0] != key:
            rng = self.stream(number, 0)
            best = genetic.population(history, self.settings.population, along, rng)
            self._drawn = key, best
        return self._drawn[1]

    def along(self, history: History) -> genetic.Directions | None:
        """Reference directions of the survival, or None for crowding."""
        return None
