"""Proposals: strategies to evaluate, and on how many images."""

from __future__ import annotations

from dataclasses import dataclass

from search.proposers import successive_halving as rungs
from strategies import Strategy
from strategies.genomes.space import Genome


@dataclass(frozen=True)
class Proposal:
    """A strategy to evaluate.

    Attributes:
        number: number of the proposal.
        origin: origin of the strategy, see `Evaluation`.
        genome, strategy: the strategy.
        images: number of images to score it on; 0 is the lowest rung.
        drawn: number of these that a lower rung has generated.
    """

    number: int
    origin: str
    genome: Genome
    strategy: Strategy
    images: int = 0
    drawn: int = 0

    @property
    def mark(self) -> str:
        """Mark that a proposal is remembered by, so that it is not made again."""
        digest = self.strategy.digest
        return rungs.promotion_key(digest, self.images) if self.drawn else digest
