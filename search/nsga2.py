"""NSGA-II (Deb et al., 2002) by pymoo, as a steady-state proposer. The only file importing pymoo.

A proposal is a function of the finished evaluations and of a random stream derived from the seed
and the proposal's number: the best `population` of them by rank and crowding are the parents, one
child is bred. Nothing is kept in between, so a search can be killed and go on anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import RankAndCrowdingSurvival, binary_tournament
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.selection.tournament import TournamentSelection

from strategies.space import Genome, SearchSpace

Matrix = NDArray[Any]


def breed(
    space: SearchSpace,
    genomes: Sequence[Genome],
    objectives: Sequence[tuple[float, ...]],
    population: int,
    rng: np.random.Generator,
) -> Genome:
    """One child of the finished evaluations.

    Args:
        genomes: of the evaluations that succeeded, at least 2.
        objectives: of the same, minimised.
        population: how many of them may be parents.
        rng: drawn from for this child alone.
    """
    sizes = np.array(space.sizes)
    problem = Problem(n_var=len(sizes), n_obj=len(objectives[0]), xl=0, xu=sizes - 1, vtype=int)
    everyone = Population.new("X", np.array(genomes), "F", np.array(objectives, dtype=float))
    parents = RankAndCrowdingSurvival().do(
        problem, everyone, n_survive=min(population, len(everyone)), random_state=rng
    )
    selection = TournamentSelection(func_comp=binary_tournament)
    # What pymoo's tournament asks the algorithm that runs it.
    asked = SimpleNamespace(tournament_type="comp_by_rank_and_crowding", random_state=rng)
    pairs = selection.do(problem, parents, 1, n_parents=2, random_state=rng, algorithm=asked)
    child = SegmentCrossover(space.head, space.width).do(problem, pairs, random_state=rng)[:1]
    child = ScheduleMutation(space.head, space.width).do(problem, child, random_state=rng)
    return tuple(int(value) for value in child[0].X)


class SegmentCrossover(Crossover):  # type: ignore[misc]
    """The child gets one span of time from the second parent, and each global gene from either."""

    def __init__(self, head: int, width: int) -> None:
        super().__init__(2, 2, prob=0.9)
        self.head, self.width = head, width

    def _do(
        self, problem: Problem, X: Matrix, *args: Any, random_state: Any = None, **kwargs: Any
    ) -> Matrix:
        children = X.copy()
        slots = (problem.n_var - self.head) // self.width
        for pair in range(X.shape[1]):
            swap = np.zeros(problem.n_var, dtype=bool)
            swap[: self.head] = random_state.random(self.head) < 0.5
            start, stop = np.sort(random_state.integers(0, slots + 1, 2))
            swap[self.head + start * self.width : self.head + stop * self.width] = True
            children[0, pair, swap] = X[1, pair, swap]
            children[1, pair, swap] = X[0, pair, swap]
        return children


class ScheduleMutation(Mutation):  # type: ignore[misc]
    """Moves made for schedules.

    Each global gene goes to a neighbouring choice or anywhere; then one to three times a slot is
    drawn anew, copies its neighbour's whole slot, or swaps with it.
    """

    def __init__(self, head: int, width: int) -> None:
        super().__init__(prob=1.0)
        self.head, self.width = head, width

    def _do(
        self, problem: Problem, X: Matrix, *args: Any, random_state: Any = None, **kwargs: Any
    ) -> Matrix:
        mutated = X.copy()
        for row in mutated:
            self._globals(row, problem.xu, random_state)
            for _ in range(int(random_state.integers(1, 4))):
                self._slot(row, problem.xu, random_state)
        return mutated

    def _globals(self, row: Matrix, upper: Matrix, rng: Any) -> None:
        for index in range(self.head):
            draw = rng.random()
            if draw < 0.15:
                row[index] = np.clip(row[index] + rng.choice((-1, 1)), 0, upper[index])
            elif draw < 0.2:
                row[index] = rng.integers(0, upper[index] + 1)

    def _slot(self, row: Matrix, upper: Matrix, rng: Any) -> None:
        slots = (len(row) - self.head) // self.width
        slot = int(rng.integers(0, slots))
        other = int(np.clip(slot + rng.choice((-1, 1)), 0, slots - 1))
        here = slice(self.head + slot * self.width, self.head + (slot + 1) * self.width)
        there = slice(self.head + other * self.width, self.head + (other + 1) * self.width)
        draw = rng.random()
        if draw < 0.5:
            gene = here.start + int(rng.integers(0, self.width))
            row[gene] = rng.integers(0, upper[gene] + 1)
        elif draw < 0.75:
            row[here] = row[there]
        else:
            row[here], row[there] = row[there].copy(), row[here].copy()
