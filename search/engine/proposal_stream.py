"""Proposals of one run, one after the other: what the search and its prediction ask for."""

from __future__ import annotations

from collections.abc import Sequence

from search.proposers import NotReadyError
from search.proposers.generation_strategy import GenerationStrategy
from search.proposers.proposal import Proposal
from search.proposers.successive_halving import promotion_key
from search.study.evaluation import Evaluation
from strategies import Strategy


class ProposalStream:
    """Proposals of one run, each with a number of its own; none is made twice.

    Args:
        generation: proposes strategies.
        unaccelerated: the unaccelerated pipeline as a strategy; it is never proposed.
        finished: evaluations of the run so far.
    """

    def __init__(
        self,
        generation: GenerationStrategy,
        unaccelerated: Strategy,
        finished: Sequence[Evaluation],
    ) -> None:
        self._generation = generation
        self._taken = {e.strategy.digest for e in finished} | {unaccelerated.digest}
        self._taken |= {promotion_key(e.strategy.digest, e.images) for e in finished}
        self._numbers = {evaluation.number for evaluation in finished}
        self._number = 0

    def next(self, finished: Sequence[Evaluation]) -> Proposal | None:
        """The next proposal.

        Args:
            finished: evaluations in the order they finished; each time those of the last time, and
                more.

        Returns:
            None where there is none before another evaluation has finished, or none at all.
        """
        while self._number in self._numbers:
            self._number += 1
        try:
            proposal = self._generation.propose(self._number, finished, self._taken)
        except NotReadyError:
            return None
        if proposal is not None:
            self._numbers.add(proposal.number)
            self._taken.add(proposal.mark)
        return proposal
