"""NSGA-II (Deb et al., 2002) in steady state, with operators made for schedules.

Where there is a surrogate and it is trusted, a pool of children is bred for each proposal and the
one that may add most to the front is proposed, as NSGANetV2 (Lu et al., 2020) screens its children.
"""

from __future__ import annotations

import numpy as np

from search.history import History
from search.proposers import genetic, operators
from search.proposers.base import Settings, Source
from strategies.space import Genome

POOL = 24  # Children to choose from.


class NSGA2(Source):
    """One child of two of the best evaluations, whenever a worker is free."""

    name = "nsga2"
    about = "NSGA-II, steady state, operators made for schedules"
    mixed = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._state = (-1, -1)
        self._couples: list[tuple[int, int]] = []
        self._screened: list[Genome] = []

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        if len(history) < 2:
            return self.anything(self.stream(number, attempt))
        self._prepare(number, history)
        if attempt < len(self._screened):
            return self._screened[attempt]
        return self._child(number, attempt, history)

    def _prepare(self, number: int, history: History) -> None:
        """Couples and screened children of a proposal, for all of its attempts."""
        if self._state == (number, len(history.evaluations)):
            return
        self._state = number, len(history.evaluations)
        along, rng = self.along(history), self.stream(number, 0)
        parents = genetic.population(history, self.settings.population, along, rng)
        self._couples = genetic.pairs(parents, along, rng, POOL)
        self._screened = self._screen(number, history)

    def _screen(self, number: int, history: History) -> list[Genome]:
        """The pool by what each child may add, most first; empty where no model is trusted."""
        surrogate, settings = self.settings.surrogate, self.settings
        model = None if surrogate is None else surrogate.fitted(history)
        if surrogate is None or model is None or not model.trusted:
            return []
        pool = [self._child(number, attempt, history) for attempt in range(POOL)]
        rows = [self.space.decode(genome) for genome in pool]
        order = surrogate.order(model, history, rows, settings.reference, settings.images)
        return [pool[index] for index in order]

    def _child(self, number: int, attempt: int, history: History) -> Genome:
        rng = self.stream(number, attempt)
        mother, father = self._couples[attempt % POOL]
        return self.breed(history.good[mother].genome, history.good[father].genome, rng)

    def breed(self, mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
        """A child of two genomes."""
        return operators.child(self.space, mother, father, rng)

    def along(self, history: History) -> genetic.Directions | None:
        """Reference directions of the survival, or None for crowding."""
        return None
