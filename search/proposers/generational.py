"""Generations with a barrier between them, as published searches have them."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from search.proposers import pymoo_adapter as genetic
from search.proposers.base import NotReadyError, Proposer
from search.study.history import History
from strategies.genomes.space import Genome


class GenerationalProposer(Proposer):
    """NSGA-II by generations: a random one first, then children of the best so far.

    Initial strategies that were evaluated compete with the first generation. Each mating gives one
    child. A child that was proposed before is bred again.

    Attributes:
        size: number of strategies of a generation, and of the population.
    """

    size: ClassVar[int]
    generational = True

    @abstractmethod
    def breed(self, mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
        """A child of two genomes."""

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        generation = (number - self.settings.first) // self.size
        rng = self.rng(number, attempt)
        best = self._population(generation, history)
        if len(best) < 2:
            return self.random_genome(rng)
        rows = np.array(best, dtype=np.intp)
        parents = genetic.survival(history, rows, self.size, None, rng)
        [(mother, father)] = genetic.tournament_pairs(parents, None, rng)
        return self.breed(history.good[mother].genome, history.good[father].genome, rng)

    def _population(self, generation: int, history: History) -> list[int]:
        """Rows of the evaluations that a generation is bred from."""
        if not hasattr(self, "_kept"):
            self._kept: dict[int, list[int]] = {0: []}
        for done in range(max(k for k in self._kept if k <= generation), generation):
            begin = self.settings.first + done * self.size
            numbers = range(begin if done else 0, begin + self.size)
            if any(number not in history.numbers for number in numbers):
                raise NotReadyError
            new = [row for n in numbers if (row := history.numbers[n]) is not None]
            rows = np.array([*self._kept[done], *new], dtype=np.intp)
            best = genetic.survival(history, rows, self.size, None, self.rng(begin, 0))
            self._kept[done + 1] = [int(one.X[0]) for one in best]
        return self._kept[generation]
