"""Plan of a budget: most of it for proposals, and a bounded part for the final scoring.

The plan is made before the first proposal, from the measured cost of generating images. It bounds
the time that is kept for the final scoring. It says with how many proposals the search starts
before it evolves any, and what the whole run will cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from search import budget as budgets
from search.budget import Budget

PROPOSALS = 0.6  # Share of the budget for proposals, at least,
SCORING = 0.25  # and for the final scoring, at most. The rest is for measuring.
MIN_FINAL_SHARE = 0.1  # Share for the final scoring where measuring takes more than the rest.
STARTS = 3  # One of this many expected evaluations starts the search; the others evolve.
MIN_START, MAX_START = 12, 30  # Bounds of that start.
ROOM = 1.1  # Of a budget that is advised: as much more as measurements are off.


def allowance(budget: Budget, measured: float) -> float:
    """Seconds that the final scoring may take at most; infinite if evaluations are counted.

    Args:
        budget: budget of the run.
        measured: seconds that are spent before the first proposal.
    """
    if budget.seconds is None:
        return inf
    room = (1 - PROPOSALS) * budget.seconds - measured
    return min(SCORING * budget.seconds, max(MIN_FINAL_SHARE * budget.seconds, room))


def initial_proposals(evaluations: int) -> int:
    """Number of proposals that start the search, before children are bred.

    Args:
        evaluations: number of evaluations that are expected in all.
    """
    return min(MAX_START, max(MIN_START, evaluations // STARTS))


@dataclass(frozen=True)
class BudgetPlan:
    """Expected course of a run.

    Attributes:
        budget: budget of the run.
        measured: seconds before the first proposal.
        scoring: seconds of the final scoring, at most.
        evaluations: number of expected evaluations on all rungs.
        strategies: number of strategies that these are of.
        start: number of proposals before children are bred.
        beyond: number of strategies that are expected beyond the initial ones.
        finalists: number of finalists, at most.
        images: number of held-out images of each finalist, at most.
        enough: seconds of a run that evolves as many strategies as it starts with.
    """

    budget: Budget
    measured: float
    scoring: float
    evaluations: int
    strategies: int
    start: int
    beyond: int
    finalists: int
    images: int
    enough: float

    @property
    def evolves(self) -> bool:
        """Whether as many strategies are evolved as the search starts with."""
        return self.budget.seconds is None or self.beyond >= self.start

    def lines(self, members: int | None = None) -> list[str]:
        """Lines for people, before the search begins.

        Args:
            members: number of strategies of a small space; None if they were not counted.
        """
        if members is not None and members <= self.strategies:
            return [
                f"the space has {members} strategies, and the budget of {self.budget} should "
                f"suffice for {self.strategies}: all of them are evaluated",
                self._scoring_line(),
            ]
        found = [
            f"the budget of {self.budget} buys about {self.evaluations} evaluations; the first "
            f"{min(self.start, self.evaluations)} are of what is known, and about {self.beyond} "
            "strategies are evolved from them",
            self._scoring_line(),
        ]
        return found if self.evolves else [*found, self.advice()]

    def _scoring_line(self) -> str:
        return (
            f"the final scoring has {self._share()}: up to {self.finalists} strategies, each on up "
            f"to {self.images} held-out images"
        )

    def advice(self) -> str:
        """Advice for a budget that is too small, with one that suffices."""
        return (
            f"too little to evolve much: --budget {self.enough_words} or more would evolve as many "
            "strategies as the search starts with"
        )

    @property
    def enough_words(self) -> str:
        """Budget that suffices, as the flag takes it."""
        return budgets.budget_text(ROOM * self.enough)

    def _share(self) -> str:
        if self.budget.seconds is None:
            return "no limit"
        share = self.scoring / self.budget.seconds
        return f"at most {self.scoring / 60:.1f} minutes of device time ({share:.0%})"
