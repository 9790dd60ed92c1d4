"""NSGA-II (Deb et al., 2002) in steady state, with operators made for schedules."""

from __future__ import annotations

import numpy as np

from search.proposers import pymoo_adapter as genetic
from search.proposers import schedule_operators as operators
from search.proposers.base import CANDIDATE_POOL_SIZE, Proposer, ProposerSettings
from search.study.history import History
from search.study.ranking import IncrementalRanking
from strategies.genomes.space import Genome


class NSGA2(Proposer):
    """One child of two of the best evaluations, whenever a worker is free."""

    name = "nsga2"
    summary = "NSGA-II, steady state, operators made for schedules"
    uses_surrogate = True

    def __init__(self, settings: ProposerSettings) -> None:
        super().__init__(settings)
        self._leading: dict[int, IncrementalRanking] = {}
        self._kept: tuple[tuple[int, int], list[tuple[int, int]]] | None = None

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        rng = self.rng(number, attempt)
        if len(history) < 2:
            return self.random_genome(rng)
        mother, father = self._couples(number, history)[attempt % CANDIDATE_POOL_SIZE]
        return self.breed(history.good[mother].genome, history.good[father].genome, rng)

    def _couples(self, number: int, history: History) -> list[tuple[int, int]]:
        """Rows of the parents of one proposal's children."""
        state = number, len(history.evaluations)
        if self._kept is None or self._kept[0] != state:
            along, rng = self.reference_directions(history), self.rng(number, 0)
            count = self.settings.population
            parents = genetic.population(history, count, along, rng, self._leading)
            self._kept = state, genetic.tournament_pairs(parents, along, rng, CANDIDATE_POOL_SIZE)
        return self._kept[1]

    def breed(self, mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
        """A child of two genomes."""
        return operators.child(self.space, mother, father, rng)

    def reference_directions(self, history: History) -> genetic.Directions | None:
        """Reference directions of the survival, or None for crowding."""
        return None
