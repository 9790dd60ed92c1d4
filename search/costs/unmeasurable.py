"""Kinds of calls and solvers that fail while the device is measured.

A turn of the latency table runs every kind of call. If it fails, each of its strategies is run by
itself, and then each kind of call of those that fail. A part that still fails is noted by its name.
Candidates that use it are infeasible, and the search continues with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evaluate.speed.call_kinds import acts_by_method
from search.costs.probe_strategies import probes, uniform
from search.errors import SearchError
from search.study.measurements import Measurements
from search.study.study import Study
from search.workers.executor import Executor
from search.workers.messages import AnyRequest
from strategies import SearchSpace, Strategy


@dataclass
class MeasurableParts:
    """Parts that can be measured, and parts that cannot.

    Attributes:
        probes: strategies that show every kind of call that can be measured.
        solvers: solvers that can be measured.
        failed: reason of the failure by the name of a kind of call or solver.
        seconds: device time that finding it out took.
    """

    probes: list[Strategy] = field(default_factory=list)
    solvers: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def find_unmeasurable(
    request: Callable[[str, Strategy], AnyRequest],
    executor: Executor,
    space: SearchSpace,
    unaccelerated: Strategy,
    say: Callable[[str], None],
    solver_request: Callable[[str], AnyRequest] | None = None,
) -> MeasurableParts:
    """Run by itself everything that a turn runs together.

    Args:
        request: makes the request to measure a strategy, from a name for it.
        executor: workers.
        space: strategies that may be proposed.
        unaccelerated: the unaccelerated pipeline as a strategy.
        say: status callback.
        solver_request: makes the request to measure a solver; None if solvers are not measured.

    Raises:
        SearchError: the calls of the unaccelerated model fail.
    """
    found = MeasurableParts()
    shown: set[str] = set()
    reasons: dict[str, str] = {}

    def error(name: str, asked: AnyRequest) -> str:
        say(f"a measurement failed; looking for what it is of: {name}")
        outcome = executor.run_exclusive(asked)
        found.seconds += outcome.seconds
        return outcome.error

    def run(name: str, strategy: Strategy) -> None:
        why_not = error(name, request(name, strategy))
        if why_not:
            reasons.update(dict.fromkeys(strategy.kinds(), why_not))
        else:
            found.probes.append(strategy)
            shown.update(strategy.kinds())

    run("the unaccelerated model", unaccelerated)
    for index, probe in enumerate(probes(space, 0)):
        run(f"strategy {index + 1}", probe)
    for strategy in uniform(space):
        if set(strategy.kinds()) & (set(reasons) - shown):
            run(f"kind {len(found.probes)}", strategy)
    found.failed = {kind: why for kind, why in reasons.items() if kind not in shown}
    if solver_request is not None:
        for solver in space.solvers:
            why_not = error(solver, solver_request(solver))
            if why_not:
                found.failed[solver] = why_not
            else:
                found.solvers.append(solver)
    own = why(found.failed, unaccelerated)
    if own:
        raise SearchError(f"the unaccelerated pipeline failed: {own}")
    return found


def unmeasurable_reason(study: Study, strategy: Strategy) -> str:
    """Reason why the latency of a strategy is not known, or an empty text."""
    return why(Measurements(study).unmeasurable, strategy)


def why(failed: Mapping[str, str], strategy: Strategy) -> str:
    """Part of a strategy that could not be measured, with the reason; empty if all could be."""
    if strategy.solver_text in failed:
        name = strategy.solver_text
        return f"the solver {name} could not be timed: {failed[name]}"
    for kind in strategy.kinds():
        for name in (
            kind,
            *(one for one in failed if one and acts_by_method(one) <= acts_by_method(kind)),
        ):
            if name in failed:
                shown = name or "unaccelerated"
                return f"calls of the kind {shown} could not be timed: {failed[name]}"
    return ""
