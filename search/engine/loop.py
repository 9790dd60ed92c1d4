"""The search loop: whenever a worker is free it gets a proposal, until the budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from pathlib import Path
from shlex import quote
from typing import Protocol

from evaluate.extraction import ExtractedFeatures
from search.costs import unmeasurable as untimed
from search.costs.cost_tracker import CostTracker
from search.engine.proposal_stream import ProposalStream
from search.engine.time_report import INITIAL, PhaseClock
from search.errors import SearchError
from search.proposers.generation_strategy import GenerationStrategy
from search.proposers.proposal import Proposal
from search.study import failures
from search.study.evaluation import Evaluation
from search.study.measurements import Measurements
from search.study.study import Study
from search.tracking.events import EventBus
from search.workers.executor import Executor
from search.workers.messages import Response, SampleRequest
from strategies import Strategy, StrategyError


class ProposalScorer(Protocol):
    """Requests of proposals, and evaluations of the answers to them."""

    def request(self, proposal: Proposal) -> SampleRequest:
        """Request for the images of a proposal."""

    def evaluation(
        self, proposal: Proposal, request: SampleRequest, outcome: Response[ExtractedFeatures]
    ) -> Evaluation:
        """Evaluation of the answer to a proposal's request."""

    def settle(self, proposal: Proposal) -> None:
        """Forget what is kept of a proposal, once its evaluation is in the study."""


class SearchLoop:
    """Evaluation of proposals until the budget, less what the final scoring needs, is spent.

    Args:
        study: log of the run.
        executor: workers.
        generation: proposes strategies.
        accounts: spent and predicted device time.
        unaccelerated: the unaccelerated pipeline as a strategy.
        latency: seconds of a strategy.
        measure: measures a strategy that no table can have; returns why it cannot, or an empty
            text.
        budget: budget of the search, as given.
        scorer: makes requests of proposals, and evaluations of the answers.
        events: told of what happens.
        clock: told of the phase that the search is in.
        say: status callback.
        folder: folder of the run.
    """

    def __init__(
        self,
        study: Study,
        executor: Executor,
        generation: GenerationStrategy,
        accounts: CostTracker,
        unaccelerated: Strategy,
        latency: Callable[[Strategy], float],
        measure: Callable[[Strategy, float], str],
        budget: str,
        scorer: ProposalScorer,
        events: EventBus,
        clock: PhaseClock,
        say: Callable[[str], None],
        folder: Path,
    ) -> None:
        self._study, self._executor, self._kind = study, executor, generation.kind
        self._accounts, self._latency, self._budget = accounts, latency, budget
        self._measure = measure
        self._scorer, self._events, self._clock = scorer, events, clock
        self._say, self._folder = say, folder
        self._proposals = ProposalStream(generation, unaccelerated, study.evaluations)
        self._running: dict[str, tuple[Proposal, SampleRequest, float]] = {}

    def run(self) -> None:
        """Evaluate proposals until the budget is spent or the space is exhausted.

        Raises:
            StrategyError: there is no budget for a single one.
            SearchError: candidates fail one after the other, all alike.
        """
        if Measurements(self._study).finished_budget == self._budget:
            return  # A run that was stopped later, while it scored its finalists.
        row = failures.FailureStreak()
        while True:
            while len(self._running) < self._executor.slots and self._start():
                pass
            if not self._running and self._executor.slots:
                self._end()
                return
            answer = self._executor.next()
            if answer is not None:
                request, outcome = answer
                self._finish(request.key, outcome)
                reason = row.saw(self._study.evaluations[-1])
                if reason:
                    raise SearchError(
                        f"{reason}; fix what they have in common and continue with: "
                        f"python -m search --resume {quote(str(self._folder))}"
                    )

    def _start(self) -> bool:
        """Hand the next proposal to a worker; False where there is none for now."""
        if self._accounts.is_exhausted(cost for *_, cost in self._running.values()):
            return False
        proposal = self._proposals.next(self._study.evaluations)
        if proposal is None:
            return False
        strategy = proposal.strategy
        reason = untimed.unmeasurable_reason(self._study, strategy)
        if not reason:
            both = self._latency(strategy) + self._accounts.unaccelerated_latency
            reason = self._measure(strategy, both)
        request = self._scorer.request(proposal)
        if reason:
            unasked: Response[ExtractedFeatures] = Response(None, reason, 0.0)
            self._study.add(self._scorer.evaluation(proposal, request, unasked))
            self._events.evaluated(self._study, self._study.evaluations[-1])
            return True
        drawn = proposal.images - proposal.drawn
        cost = self._accounts.predict_generation(self._latency(strategy), drawn)
        self._running[request.key] = proposal, request, cost
        if proposal.drawn:
            self._events.promoted(proposal)
        bred = proposal.origin == self._kind
        self._clock.enter("evolving" if bred else INITIAL)
        self._executor.submit(request)
        return True

    def _finish(self, key: str, outcome: Response[ExtractedFeatures]) -> None:
        """Record the answer to a request."""
        proposal, request, _ = self._running.pop(key)
        self._study.add(self._scorer.evaluation(proposal, request, outcome))
        self._scorer.settle(proposal)
        self._events.evaluated(self._study, self._study.evaluations[-1])
        self._say("searching")

    def _end(self) -> None:
        if not self._study.evaluations and self._accounts.is_exhausted(()):
            raise StrategyError(self._too_small())
        Measurements(self._study).keep_finished_budget(self._budget)

    def _too_small(self) -> str:
        spent, after = self._study.spent, self._accounts.wanted()
        return (
            f"a budget of {self._budget} is too small for one evaluation: measuring the model "
            f"took {spent:.0f} s and scoring what is found begins with {after:.0f} s, all of "
            "device time; what was measured is kept: python -m search --resume "
            f"{quote(str(self._folder))} --budget {ceil(2 * (spent + after))}s, or more"
        )
