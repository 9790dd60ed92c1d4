"""Random search: every genome alike likely."""

from __future__ import annotations

from search.proposers.base import Source
from search.study.history import History
from strategies.genomes.space import Genome


class UniformRandom(Source):
    """Draws that look at nothing."""

    name = "random"
    about = "genomes drawn evenly"

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        return self.anything(self.stream(number, attempt))
