"""Base class of proposers: pure functions of the finished evaluations and a proposal's number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search.initial.random_genomes import uniform_genome
from search.study.history import History
from strategies import SearchSpace, Strategy
from strategies.genomes.space import Genome
from strategies.plugins.former_names import FormerName, adopt_former

CANDIDATE_POOL_SIZE = 24  # Candidates to choose from.


class NotReadyError(Exception):
    """Nothing can be proposed before another evaluation has finished."""


@dataclass(frozen=True)
class ProposerSettings:
    """Settings of a proposer.

    Attributes:
        space: space of the search.
        population: number of parents, if the proposer has no published number of its own.
        seed: seed of all random numbers.
        first: number of the first proposal that is not an initial strategy.
        latency: seconds of a strategy by the latency table.
    """

    space: SearchSpace
    population: int
    seed: int
    first: int
    latency: Callable[[Strategy], float]


class Proposer(ABC):
    """A proposer of genomes; initial strategies come before it.

    Anything that it keeps between two calls only saves time: a new one proposes the same.

    Attributes:
        name: name on the command line.
        summary: one line for `--help`.
        generational: whether it waits for whole generations of its own, so that nothing may come
            between them.
        uses_surrogate: whether a surrogate may choose from its `pool`. Random strategies, as many
            as the population, then alternate with the initial ones.
        max_attempts: number of tries to find a new genome before one is sampled uniformly.
    """

    stream = FormerName("rng")

    name: ClassVar[str]
    summary: ClassVar[str]
    generational: ClassVar[bool] = False
    uses_surrogate: ClassVar[bool] = False
    max_attempts: ClassVar[int] = 100

    def __init_subclass__(cls) -> None:
        adopt_former(cls, {"about": "summary", "attempts": "max_attempts"})

    def __init__(self, settings: ProposerSettings) -> None:
        self.settings = settings
        self.space = settings.space

    @abstractmethod
    def genome(self, number: int, attempt: int, history: History) -> Genome:
        """Genome of proposal `number`.

        Args:
            number: number of the proposal.
            attempt: 0, and one more each time that the result had been proposed before.
            history: finished evaluations.

        Raises:
            NotReadyError: another evaluation has to finish first.
        """

    def pool(self, number: int, history: History) -> list[Genome]:
        """Candidates for proposal `number`, from which a surrogate chooses."""
        return [self.genome(number, attempt, history) for attempt in range(CANDIDATE_POOL_SIZE)]

    def rng(self, number: int, attempt: int) -> np.random.Generator:
        """Random number generator of one proposal."""
        return np.random.default_rng([self.settings.seed, number, attempt])

    def random_genome(self, rng: np.random.Generator) -> Genome:
        """A genome sampled uniformly."""
        return uniform_genome(self.space, rng)
