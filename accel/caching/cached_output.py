"""Cached output of one module: a result kept from a call that computes it for those after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from torch import Tensor

from accel.caching.extrapolation import History, features_needed_later
from accel.caching.guidance_end import average_guidance
from accel.caching.guidance_halves import first_tensor, newest_results, recalled
from accel.call_records import Recorder
from accel.clock import CallListener, Clock
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward
from accel.sites import Sublayer
from accel.token_selection import TokenSelection
from strategies.knobs import Depth


class CachedOutput(CallListener):
    """The last result of one module, for each of the two passes that guidance may take.

    A result is used until the next call that computes. If that call did not reach this module
    because a caching method skipped it, the next one that does computes. Only results that a later
    call reads are kept.

    If only a selection of the image's tokens runs, their rows are taken from the kept result. Newly
    computed rows replace them there.

    Args:
        clock: the sampler's clock.
        computes: predicate on a call's index: whether it computes.
        name: name of the module in the records.
        orders: order of the extrapolation at each call; by default 0, the last result itself.
        batched: whether results are tensors, or tuples of them, with one row per row of the batch.
            These are averaged when guidance ends; others are computed again.
        text: whether results are of the text's tokens alone, all of which always run.
    """

    def __init__(
        self,
        clock: Clock,
        recorder: Recorder,
        computes: Callable[[int], bool],
        name: str,
        batched: bool = True,
        orders: Sequence[int] | None = None,
        text: bool = False,
    ) -> None:
        self.clock, self.recorder, self.name, self.batched = clock, recorder, name, batched
        self.text = text
        self._orders = [0] * clock.calls if orders is None else list(orders)
        asked = {call for call in range(clock.calls) if call == 0 or computes(call)}
        self._since = list(accumulate((c if c in asked else 0 for c in range(clock.calls)), max))
        # A call that computes some rows reads the others, as one that reuses.
        fresh = [call in asked and not clock.runs_token_subset(call) for call in range(clock.calls)]
        plan: list[Depth] = ["full" if made else 0 for made in fresh]
        read = [0 if call in asked else order for call, order in enumerate(self._orders)]
        self._needs = [found.get(0, 0) for found in features_needed_later(plan, read)]
        self._kept: dict[int, History] = {}
        self._start()
        clock.listeners.append(self)
        clock.reuses = True

    def _start(self) -> None:
        self.value: Any = None
        self.newest: Any = None
        self.fresh: Any = None
        self.ready: Any = None
        self.keep = self.used = False

    def find(self, tokens: Tensor) -> Any:
        """Cached value to use at this call, or None if the module must run.

        A tensor must have the shape of `tokens`. If the work before this module was left out,
        `tokens` have width 0, or `ready` holds the value to use whatever `tokens` are.
        """
        value = self.value
        if value is None or self.ready is not None:
            return self.ready
        chosen = self._chosen()
        if chosen is not None:
            value = map_image_tokens(chosen.take, value)
        if self.batched:
            shape = first_tensor(value).shape
            if shape != tokens.shape and (tokens.shape[-1] or shape[:-1] != tokens.shape[:-1]):
                return None
        self.used = True
        return value

    def offer(self, value: Any) -> None:
        """Keep a result that was just computed, if a later call reads it."""
        chosen = self._chosen()
        if not self.keep or (chosen is not None and self.newest is None):
            return
        if chosen is not None:
            value = map_image_tokens(
                lambda some, whole: chosen.put(whole, some), value, self.newest
            )
        self.fresh = value

    def _chosen(self) -> TokenSelection | None:
        return None if self.text else self.clock.selection

    def begin(self) -> None:
        self._start()
        call = self.clock.call
        history = self._kept.get(self.clock.guidance_pass, [])
        if history and history[-1][0] >= self._since[call]:
            self.value = self._recall(history, self._orders[call])
        self.newest = self._recall(history, 0) if history else None
        self.keep = self._needs[call] > 0

    def _recall(self, history: History, order: int) -> Any:
        """Cached value for the rows that run. A value that is no tensor selects its own rows."""
        return recalled(history, self.clock, order) if self.batched else history[-1][1]

    def end(self, output: Tensor) -> None:
        if self.used:
            self.recorder.now.reused.append(self.name)
        history = self._kept.pop(self.clock.guidance_pass, [])
        if self.fresh is not None:
            history = [*history, (self.clock.call, self.fresh)]
        if self.keep and history:
            count = self._needs[self.clock.call]
            self._kept[self.clock.guidance_pass] = (
                newest_results(history, count) if self.batched else history[-count:]
            )
        self._start()

    def clear(self) -> None:
        self._kept.clear()
        self._start()

    def merge_guidance(self) -> None:
        self._kept = average_guidance(self._kept, self.clock) if self.batched else {}


def map_image_tokens(change: Callable[..., Tensor], value: Any, *beside: Any) -> Any:
    """Apply a function to the image tokens of a result.

    Joint attention returns two tensors, of the image and of the text. With an IP-Adapter it returns
    a third one, again of the image's tokens. All but the second are changed.

    Args:
        change: function of a tensor of the result and of the tensors of `beside` at the same
            position.
        value: a tensor, or a tuple of them.
        beside: further results of the same form.
    """
    if not isinstance(value, tuple):
        return change(value, *beside)
    places = enumerate(zip(value, *beside, strict=True))
    return tuple(tensors[0] if place == 1 else change(*tensors) for place, tensors in places)


def with_cached_output(output: CachedOutput) -> Callable[[Forward], Forward]:
    """Wrapper of a module that uses the cached result of `output`.

    The output must have the shape of the first input.
    """

    def make(original: Forward) -> Forward:
        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            found = output.find(hidden_states)
            if found is not None:
                return found
            made = original(hidden_states, *args, **kwargs)
            output.offer(made)
            return made

        return forward

    return make


def skip_unread_norms(
    outputs: Sequence[tuple[Sublayer, CachedOutput]], parts: Sequence[Sublayer]
) -> list[Undo]:
    """Skip norms whose readers all reuse their results.

    Args:
        outputs: parts, with the cached result of each.
        parts: all parts of the network, in the order they run.
    """
    by_name = {part.name: output for part, output in outputs}
    undos = []
    for norm in {norm: None for part, _ in outputs for norm in part.norms}:
        readers = [part for part in parts if norm in part.norms]
        found = [by_name[part.name] for part in readers if part.name in by_name]
        if len(found) == len(readers):
            leads = all(part.norms[0] is norm for part in readers)
            undos.append(replace_forward(norm, _skipping(found, leads)))
    return undos


def _skipping(outputs: Sequence[CachedOutput], leads: bool) -> Callable[[Forward], Forward]:
    """Wrapper of a norm that skips it if none of `outputs` needs its tokens.

    It then returns tokens of width 0, which cost nothing to modulate.

    Args:
        outputs: cached results of the parts that read the norm.
        leads: whether the norm's tokens have the shape of the results; else another norm has
            decided.
    """

    def make(original: Forward) -> Forward:
        def forward(hidden_states: Tensor) -> Any:
            values = [p.find(hidden_states) if leads else p.ready for p in outputs]
            if any(value is None for value in values):
                return original(hidden_states)
            for output, value in zip(outputs, values, strict=True):
                output.ready = value
            return hidden_states[:, :0]

        return forward

    return make
