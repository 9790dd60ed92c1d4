"""Random search: every genome is equally likely."""

from __future__ import annotations

from search.proposers.base import Proposer
from search.study.history import History
from strategies.genomes.space import Genome


class RandomSearch(Proposer):
    """Genomes sampled uniformly; the finished evaluations do not matter."""

    name = "random"
    summary = "genomes sampled uniformly"

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        return self.random_genome(self.rng(number, attempt))
