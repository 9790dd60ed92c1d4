"""What every source of proposals is: a pure function of the finished evaluations and a number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from search.initial.random_genomes import evenly
from search.study.history import History
from strategies import SearchSpace, Strategy
from strategies.genomes.space import Genome

POOL = 24  # Candidates to choose from.


class Waiting(Exception):  # noqa: N818
    """Nothing can be proposed before another evaluation has finished."""


@dataclass(frozen=True)
class Settings:
    """What sources are made with.

    Attributes:
        space: of the search.
        population: parents, where a source has no published number of its own.
        seed: of every random draw.
        first: number of the first proposal that is not a seed.
        latency: seconds of a strategy by the latency table.
    """

    space: SearchSpace
    population: int
    seed: int
    first: int
    latency: Callable[[Strategy], float]


class Source(ABC):
    """Where genomes come from, seeds apart.

    Whatever a source keeps between two calls only saves time: one made afresh proposes the same.

    Attributes:
        name: on the command line.
        about: one line for `--help`.
        generational: whether it waits for whole generations of its own, so that nothing may come
            between them.
        mixed: whether as many strategies as the population holds, drawn evenly, come between the
            seeds, and a surrogate may choose from a `pool`.
        attempts: how often it is asked for something new before a genome is drawn evenly.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    generational: ClassVar[bool] = False
    mixed: ClassVar[bool] = False
    attempts: ClassVar[int] = 100

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.space = settings.space

    @abstractmethod
    def genome(self, number: int, attempt: int, history: History) -> Genome:
        """Proposal `number`.

        Args:
            attempt: 0, and one more each time that what was proposed had been proposed before.
            history: of the finished evaluations.

        Raises:
            Waiting: not before another evaluation has finished.
        """

    def pool(self, number: int, history: History) -> list[Genome]:
        """Candidates for proposal `number`, of which a surrogate chooses."""
        return [self.genome(number, attempt, history) for attempt in range(POOL)]

    def stream(self, number: int, attempt: int) -> np.random.Generator:
        """The random stream of one proposal."""
        return np.random.default_rng([self.settings.seed, number, attempt])

    def anything(self, rng: np.random.Generator) -> Genome:
        """A genome drawn evenly."""
        return evenly(self.space, rng)
