"""ECAD's operators (arXiv 2506.15682 and its code): a published baseline.

NSGA-II with a population of 72, 4-point crossover with probability 0.9 and bit-flip mutation with
probability 0.05 per gene. Its genes are bits; where a gene here has more than two choices, a flip
is to any other of them.
"""

from __future__ import annotations

import numpy as np

from search.proposers import pymoo_adapter as genetic
from search.proposers.generational import GenerationalProposer
from strategies.genomes.space import Genome

FLIP = 0.05


class ECAD(GenerationalProposer):
    """Proposer of ECAD, as published."""

    name = "ecad"
    summary = "ECAD's operators: generations of 72, 4-point crossover 0.9, bit flips 0.05"
    size = 72

    def breed(self, mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
        sizes = np.array(self.space.sizes)
        row = np.array(genetic.point_crossover(self.space.sizes, mother, father, rng, 4, 0.9))
        flip = (rng.random(len(row)) < FLIP) & (sizes > 1)
        other = (row + rng.integers(1, np.maximum(sizes, 2))) % sizes
        return tuple(int(value) for value in np.where(flip, other, row))
