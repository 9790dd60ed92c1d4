"""Exchange of a pipeline's solver for the one that a strategy is for."""

from __future__ import annotations

import weakref
from typing import Any

from accel.patching.replacing import Undo
from accel.sites import Sites
from accel.solvers import schedulers, solver_steps
from strategies import StrategyError


def exchange(pipe: Any, solver: str, sites: Sites, swap: bool) -> Undo:
    """Ensure that a pipeline has a strategy's scheduler, and that it fits its network.

    Args:
        pipe: pipeline to change.
        solver: class of the scheduler, with settings in the short form if it has them.
        sites: sites of the pipeline's network.
        swap: whether to replace another scheduler.

    Returns:
        A function that puts the pipeline's own scheduler back; it leaves a third one alone.

    Raises:
        StrategyError: the pipeline has another scheduler and `swap` is false, or the scheduler does
            not fit the network.
    """
    before = pipe.scheduler
    schedulers.check_scheduler(before, sites)
    given = type(before).__name__
    name, settings = solver_steps.read_solver(solver)
    if given == name and solver_steps.has(before, settings):
        return lambda: None
    if not swap:
        other = f"the pipeline has {given}" if given != name else "the pipeline's has others"
        raise StrategyError(
            f"the strategy is for {solver}, but {other}; "
            "pass set_scheduler=True to accel.apply, or set pipe.scheduler, or pass resample=True "
            "to stretch it over this solver's calls"
        )
    after = schedulers.make(before, solver)
    schedulers.check_scheduler(after, sites)
    pipe.scheduler = after
    there = weakref.ref(pipe)

    def undo() -> None:
        pipe = there()
        if pipe is not None and pipe.scheduler is after:
            pipe.scheduler = before

    return undo
