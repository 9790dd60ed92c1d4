"""NSGA-III (Deb and Jain, 2014) in steady state, for three and more objectives."""

from __future__ import annotations

from search.proposers import pymoo_adapter as genetic
from search.proposers.nsga2 import NSGA2
from search.study.history import History


class NSGA3(NSGA2):
    """NSGA-II with survival by niches of reference directions instead of crowding."""

    name = "nsga3"
    summary = "the same with NSGA-III's niches, the default from three objectives up"

    def reference_directions(self, history: History) -> genetic.Directions:
        return genetic.directions(history.objectives.shape[1], self.settings.population)
