"""The search loop: whenever a worker is free it gets a proposal, until the budget is spent."""

from __future__ import annotations

from math import ceil
from shlex import quote
from typing import TYPE_CHECKING

from search.costs import unmeasurable as untimed
from search.errors import SearchError
from search.proposers import successive_halving as rungs
from search.proposers.generation_strategy import Proposal, Waiting
from search.study import failures
from search.workers.worker import Outcome
from strategies import StrategyError

if TYPE_CHECKING:
    from search.engine.engine import Engine

DONE = "searched"  # Noted with the budget that was searched for.


def search(engine: Engine) -> None:
    """Evaluate proposals until the budget, less what the final scoring needs, is spent.

    Raises:
        StrategyError: there is no budget for a single one.
    """
    executor, study, spending = engine.executor, engine.study, engine.spending
    if study.noted(DONE) == engine.config.budget:
        return  # A run that was stopped later, while it scored its finalists.
    running: dict[str, tuple[Proposal, float]] = {}
    finished = study.evaluations
    taken = {e.strategy.digest for e in finished} | {engine.baseline.digest}
    taken |= {rungs.mark(e.strategy.digest, e.images) for e in finished}
    numbers = {evaluation.number for evaluation in finished}
    number, row = 0, failures.Row()
    while True:
        while len(running) < executor.slots:
            if spending.exhausted(cost for _, cost in running.values()):
                break
            while number in numbers:
                number += 1
            try:
                proposal = engine.proposer.propose(number, finished, taken)
            except Waiting:
                break
            if proposal is None:
                break
            numbers.add(number)
            taken.add(proposal.mark)
            reason = untimed.reason(study, proposal.strategy)
            if reason:
                unasked = Outcome(None, reason, 0.0)
                study.add(engine.evaluation(proposal, engine.request(proposal), unasked))
                engine.events.evaluated(study, finished[-1])
                continue
            drawn = proposal.images - proposal.drawn
            cost = spending.draw(engine.table.predict(proposal.strategy), drawn)
            running[str(number)] = proposal, cost
            if proposal.drawn:
                engine.events.promoted(proposal)
            engine.clock.enter("seeds" if proposal.origin != engine.proposer.kind else "evolving")
            executor.submit(engine.request(proposal))
        if not running and executor.slots:
            if not finished and spending.exhausted(()):
                raise StrategyError(_too_small(engine))
            study.note(DONE, engine.config.budget)
            return
        answer = executor.next()
        if answer is not None:
            request, outcome = answer
            proposal, _ = running.pop(request.key)
            study.add(engine.evaluation(proposal, request, outcome))
            engine.settle(proposal)
            engine.events.evaluated(study, finished[-1])
            engine.say("searching")
            reason = row.saw(finished[-1])
            if reason:
                raise SearchError(
                    f"{reason}; mend what they have in common and go on with: "
                    f"python -m search --resume {quote(str(engine.folder))}"
                )


def _too_small(engine: Engine) -> str:
    spent, after = engine.study.spent, engine.spending.wanted()
    return (
        f"a budget of {engine.config.budget} is too small for one evaluation: measuring the model "
        f"took {spent:.0f} s and scoring what is found begins with {after:.0f} s, all of device "
        f"time; what was measured is kept: python -m search --resume {quote(str(engine.folder))} "
        f"--budget {ceil(2 * (spent + after))}s, or more"
    )
