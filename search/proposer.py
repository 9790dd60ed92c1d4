"""What to evaluate next: a pure function of the study, the seed and the proposal's number."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from search import nsga2
from search.study import Evaluation
from strategies import SearchSpace, Strategy
from strategies.space import Genome

ATTEMPTS = 200


@dataclass(frozen=True)
class Proposal:
    """A strategy to evaluate."""

    number: int
    origin: str
    genome: Genome
    strategy: Strategy


class Proposer:
    """Seeds first, then the search proper.

    Args:
        space: of the search.
        seeds: origin and strategy; proposals 0, 1, ... are these.
        kind: `nsga2` or `random`.
        population: of NSGA-II.
        seed: of every random draw.
    """

    def __init__(
        self,
        space: SearchSpace,
        seeds: Sequence[tuple[str, Strategy]],
        kind: str,
        population: int,
        seed: int,
    ) -> None:
        self.space, self.seeds = space, list(seeds)
        self.kind, self.population, self.seed = kind, population, seed

    def propose(
        self, number: int, finished: Sequence[Evaluation], taken: Collection[str]
    ) -> Proposal | None:
        """Proposal `number`.

        Args:
            finished: evaluations in the order they finished.
            taken: digests of every strategy that was ever proposed; none is proposed again.

        Returns:
            None where nothing new is found: the space is exhausted.
        """
        if number < len(self.seeds):
            origin, strategy = self.seeds[number]
            return Proposal(number, origin, self.space.encode(strategy), strategy)
        good = [evaluation for evaluation in finished if evaluation.ok]
        genomes = [evaluation.genome for evaluation in good]
        objectives = [evaluation.objectives for evaluation in good]
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng([self.seed, number, attempt])
            if self.kind == "nsga2" and len(good) >= 2 and attempt < ATTEMPTS // 2:
                genome = nsga2.breed(self.space, genomes, objectives, self.population, rng)
            else:
                genome = tuple(int(rng.integers(0, size)) for size in self.space.sizes)
            strategy = self.space.decode(genome)
            if strategy.digest not in taken:
                return Proposal(number, self.kind, genome, strategy)
        return None
