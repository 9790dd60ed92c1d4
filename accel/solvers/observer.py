"""Observer of a solver: its input tells the number of images, and its steps tell that a call is
over.
"""

from __future__ import annotations

from typing import Any

from accel.clock import Clock
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_method


class SchedulerObserver:
    """Observer of the `step` of one scheduler at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: Any = None
        self._undo: Undo = _nothing

    def watch(self, scheduler: Any) -> None:
        """Observe this scheduler from now on, and no other."""
        if scheduler is not self._watched:
            self.undo()
            self._undo = replace_method(scheduler, "step", self._watching)
            self._watched = scheduler

    def undo(self) -> None:
        """Stop observing."""
        self._undo()
        self._undo, self._watched = _nothing, None

    def _watching(self, original: Forward) -> Forward:
        def step(model_output: Any, *args: Any, **kwargs: Any) -> Any:
            self._clock.step(len(model_output))
            return original(model_output, *args, **kwargs)

        return step


def _nothing() -> None:
    pass
