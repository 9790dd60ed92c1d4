"""NSGA-II (Deb et al., 2002) in steady state, with operators made for schedules."""

from __future__ import annotations

from search.history import History
from search.proposers import genetic, operators
from search.proposers.base import Source
from strategies.space import Genome


class NSGA2(Source):
    """One child of two of the best evaluations, whenever a worker is free."""

    name = "nsga2"
    about = "NSGA-II, steady state, operators made for schedules"

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        rng = self.stream(number, attempt)
        if len(history) < 2:
            return self.anything(rng)
        # The population is drawn from its own stream, so that a further attempt has the same one.
        along = self.along(history)
        best = genetic.population(history, self.settings.population, along, self.stream(number, 0))
        mother, father = genetic.pair(best, along, rng)
        good = history.good
        return operators.child(self.space, good[mother].genome, good[father].genome, rng)

    def along(self, history: History) -> genetic.Directions | None:
        """Reference directions of the survival, or None for crowding."""
        return None
