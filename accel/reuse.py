"""One place in the network whose result is kept from a call that computes it for those after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from accel.clock import Clock, Listener
from accel.records import Recorder


class Reuse(Listener):
    """The last result of one place, for each of the passes that guidance may be done in.

    A result is used until a call that computes is reached; where that call did not come by this
    place (a caching method skipped it), the next one that does computes. Kept is only what a later
    call reads.

    Args:
        clock: of the sampler.
        computes: whether a call computes.
        name: of the place, for the records.
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
    ) -> None:
        self.clock, self.recorder, self.name, self.foldable = clock, recorder, name, foldable
        asked = [call for call in range(clock.calls) if call == 0 or computes(call)]
        self._since = [max(c for c in asked if c <= call) for call in range(clock.calls)]
        self._kept: dict[int, tuple[int, Any]] = {}
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
        made, value = self._kept.get(self.clock.branch, (-1, None))
        self.value = value if made >= self._since[call] else None
        self.keep = not self.clock.last and self._since[call + 1] <= call

    def end(self, output: Tensor) -> None:
        if self.used:
            self.recorder.now.reused.append(self.name)
        if self.fresh is not None:
            self._kept[self.clock.branch] = (self.clock.call, self.fresh)
        if not self.keep:
            self._kept.pop(self.clock.branch, None)
        self._start()

    def clear(self) -> None:
        self._kept.clear()
        self._start()

    def fold(self) -> None:
        self._kept = fold(self._kept, self.clock.halves) if self.foldable else {}


def fold(kept: dict[int, tuple[int, Any]], halves: bool) -> dict[int, tuple[int, Any]]:
    """Results by pass, averaged over the two halves of guidance.

    Args:
        kept: by pass, the call and the tensor `[rows, ...]`.
        halves: the rows of one pass hold both halves; else two passes hold one each.
    """
    if halves:
        return {b: (call, mean_of_halves(value)) for b, (call, value) in kept.items()}
    if len(kept) == 2:
        call = min(kept[0][0], kept[1][0])
        return {0: (call, (kept[0][1] + kept[1][1]) / 2)}
    return {}


def mean_of_halves(value: Tensor) -> Tensor:
    """`[2 n, ...]` to `[n, ...]`."""
    first, second = value.chunk(2)
    return torch.add(first, second).div_(2)
