"""One place in the network whose result is kept from a call that computes it for those after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from accel.clock import Clock, Listener
from accel.history import History, extrapolate, fold, needs
from accel.patching import Forward
from accel.records import Recorder
from strategies.knobs import Depth


class Reuse(Listener):
    """The last result of one place, for each of the passes that guidance may be done in.

    A result is used until a call that computes is reached; where that call did not come by this
    place (a caching method skipped it), the next one that does computes. Kept is only what a later
    call reads.

    Args:
        clock: of the sampler.
        computes: whether a call computes.
        name: of the place, for the records.
        orders: per call, of the extrapolation that stands in for a result; by default 0, the last
            result itself.
        foldable: results are tensors with a row per row of the batch, to be averaged over guidance
            where it ends; others are computed anew then.
    """

    def __init__(
        self,
        clock: Clock,
        recorder: Recorder,
        computes: Callable[[int], bool],
        name: str,
        foldable: bool = True,
        orders: Sequence[int] | None = None,
    ) -> None:
        self.clock, self.recorder, self.name, self.foldable = clock, recorder, name, foldable
        self._orders = [0] * clock.calls if orders is None else list(orders)
        asked = [call for call in range(clock.calls) if call == 0 or computes(call)]
        self._since = [max(c for c in asked if c <= call) for call in range(clock.calls)]
        plan: list[Depth] = ["full" if call in asked else 0 for call in range(clock.calls)]
        self._needs = [found.get(0, 0) for found in needs(plan, self._orders)]
        self._kept: dict[int, History] = {}
        self._start()
        clock.listeners.append(self)

    def _start(self) -> None:
        self.value: Any = None
        self.fresh: Any = None
        self.keep = self.used = False

    def find(self, tokens: Tensor) -> Any:
        """What to use in place of computing, or None: a tensor must have the shape of `tokens`."""
        value = self.value
        if value is None or (self.foldable and value.shape != tokens.shape):
            return None
        self.used = True
        return value

    def offer(self, value: Any) -> None:
        """Keep a result that was just computed, if a later call reads it."""
        if self.keep:
            self.fresh = value

    def begin(self) -> None:
        self._start()
        call = self.clock.call
        history = self._kept.get(self.clock.branch, [])
        if history and history[-1][0] >= self._since[call]:
            self.value = extrapolate(history, call, self._orders[call])
        self.keep = self._needs[call] > 0

    def end(self, output: Tensor) -> None:
        if self.used:
            self.recorder.now.reused.append(self.name)
        history = self._kept.pop(self.clock.branch, [])
        if self.fresh is not None:
            history = [*history, (self.clock.call, self.fresh)]
        if self.keep and history:
            self._kept[self.clock.branch] = history[-self._needs[self.clock.call] :]
        self._start()

    def clear(self) -> None:
        self._kept.clear()
        self._start()

    def fold(self) -> None:
        self._kept = fold(self._kept, self.clock.halves) if self.foldable else {}


def reusing(place: Reuse) -> Callable[[Forward], Forward]:
    """Wrap a module whose output has the shape of its first input, to go by `place`."""

    def make(original: Forward) -> Forward:
        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            found = place.find(hidden_states)
            if found is not None:
                return found
            output = original(hidden_states, *args, **kwargs)
            place.offer(output)
            return output

        return forward

    return make
