"""DaTo's search settings (Zhang et al., 2024, supplement): the published baseline.

NSGA-II with a population of 20 for 100 generations, integer random sampling, simulated binary
crossover with probability 0.7 and eta 7, polynomial mutation with probability 0.4 and eta 15, both
rounded. The paper's main text names other operators; these are the supplement's and the code's.
"""

from __future__ import annotations

import numpy as np

from search.proposers import pymoo_adapter as genetic
from search.proposers.generational import GenerationalProposer
from strategies.genomes.space import Genome


class DaToProposer(GenerationalProposer):
    """Proposer of DaTo, as published."""

    name = "dato"
    summary = "DaTo's settings: generations of 20, SBX 0.7/7, PM 0.4/15"
    size = 20

    def breed(self, mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
        return genetic.simulated_binary(
            self.space.sizes, mother, father, rng, crossover=(0.7, 7), mutation=(0.4, 15)
        )
