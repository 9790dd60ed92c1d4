"""Knobs of FORA (Selvaraju et al., "Fast-Forward Caching", arXiv 2407.01425)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from strategies.errors import StrategyError
from strategies.halves import caught_up
from strategies.knobs import Depth, Knobs, register
from strategies.methods import groups
from strategies.methods.groups import Computed, Stream
from strategies.schedules import nearest

COMPONENTS = ("attn", "cross", "mlp")


@register
class FORA(Knobs):
    """Reuse of the outputs of attentions and feed-forwards, in all blocks or by groups of blocks.

    A list of G values is for G groups of consecutive blocks: block i of L is in group i * G // L.
    """

    method: ClassVar[str] = "fora"
    paper: ClassVar[str] = (
        "FORA, arXiv 2407.01425; per component and group of blocks, extrapolation as in TaylorSeer"
    )
    families: ClassVar[tuple[str, ...]] = ("dit", "mmdit", "transformer")
    per_call: ClassVar[tuple[str, ...]] = ("attn", "cross", "mlp", "order")
    neutral: ClassVar[dict[str, Any]] = {"attn": True, "cross": True, "mlp": True, "order": 0}
    free_knobs: ClassVar[tuple[str, ...]] = ("order",)
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "attn": (True, False),
        "cross": (True, False),
        "mlp": (True, False),
        "order": (0, 1, 2),
    }

    attn: tuple[Computed, ...] = Field(
        default=(True,),
        description="whether self-attention is computed; else its output is reused. A list has one "
        "value for each of G groups of consecutive blocks; G is the same wherever there is a list",
    )
    cross: tuple[Computed, ...] = Field(
        default=(True,), description="the same for cross-attention, where there is one"
    )
    mlp: tuple[Computed, ...] = Field(default=(True,), description="the same for feed-forwards")
    order: tuple[Annotated[int, Field(ge=0, le=2, strict=True)], ...] = Field(
        default=(0,),
        description="replacement of an output: 0 the last one computed, 1 or 2 its linear or "
        "quadratic extrapolation over the calls; limited by how many there are so far",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_groups(cls, given: Any) -> Any:
        return groups.read_groups(given, COMPONENTS)

    @classmethod
    def published(cls, calls: int, interval: int, order: int = 0) -> Self:
        """FORA's rule: every `interval`-th call, counted from the last, and the first are full.

        Calls are counted from the end, starting at 0, so that the last call is always full.

        Raises:
            StrategyError: no positive interval.
        """
        full = _rule(calls, interval)
        return cls(attn=full, cross=full, mlp=full, order=(order,) * calls)

    @property
    def groups(self) -> int:
        """Number of groups of blocks in its lists; 1 without lists."""
        return groups.count_groups([getattr(self, name) for name in COMPONENTS])

    def computed(self, component: str, block: int, blocks: int) -> Stream:
        """Whether a component of one block is computed, for each call.

        Args:
            component: `attn`, `cross` or `mlp`.
            block: index of the block.
            blocks: number of the model's blocks.

        Raises:
            StrategyError: fewer blocks than groups.
        """
        return self._stream(component, groups.group_of(self.method, block, blocks, self.groups))

    def _stream(self, component: str, group: int) -> Stream:
        return groups.stream(getattr(self, component), group)

    def is_neutral(self) -> bool:
        return all(value is True for name in COMPONENTS for value in getattr(self, name))

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> FORA:
        lists = {name: (True, *getattr(self, name)[1:]) for name in COMPONENTS}
        alive = FORA(**lists, order=self.order)
        streams = {alive._stream(n, group) for n in COMPONENTS for group in range(alive.groups)}
        most = [0] * calls  # Outputs known so far, of what is reused and has the most of them.
        for stream in streams:
            known = 0
            for call, computed in enumerate(stream):
                if computed:
                    known += 1
                else:
                    most[call] = max(most[call], known)
        limits = (max(0, known - 1) for known in most)
        order = tuple(map(min, self.order, limits))
        return alive.model_copy(update={"order": order})

    def caught_up(self, both: tuple[bool, ...]) -> FORA:
        lists = {}
        for name in COMPONENTS:
            streams = [self._stream(name, group) for group in range(self.groups)]
            lists[name] = groups.merged_streams([caught_up(stream, both) for stream in streams])
        return self.model_copy(update=lists)

    def shortened(self, whole: tuple[bool, ...]) -> FORA:
        return self.caught_up(whole)

    def resample(self, indices: list[int]) -> FORA:
        """Knobs in which each component of each group keeps its rule.

        FORA's rule stays FORA's with the same interval. Any other keeps its share of computed
        calls, as dense in time. Orders go by time.
        """
        new = len(indices)
        lists = {}
        for name in COMPONENTS:
            streams = [self._stream(name, group) for group in range(self.groups)]
            moved = {stream: _resampled(stream, new) for stream in set(streams)}
            lists[name] = groups.merged_streams([moved[stream] for stream in streams])
        reused = [
            call
            for call in range(len(self.order))
            if any(getattr(self, name)[call] is not True for name in COMPONENTS)
        ]
        order = []
        for old in indices:
            call = nearest(reused, old)
            order.append(self.order[old if call is None else call])
        return FORA(**lists, order=tuple(order))


def _rule(calls: int, interval: int) -> Stream:
    if interval < 1:
        raise StrategyError(f"interval is {interval}; give a whole number from 1 up")
    return tuple(call == 0 or (calls - 1 - call) % interval == 0 for call in range(calls))


def _resampled(stream: Stream, calls: int) -> Stream:
    """Calls of a component for another number of calls; the first always computes."""
    old = (True, *stream[1:])
    chosen = [call for call, value in enumerate(old) if value]
    # The rule counts from the last call, so the last two calls that it chose tell the interval.
    interval = max(1, chosen[-1] - chosen[-2]) if len(chosen) > 1 else 1
    if _rule(len(old), interval) == old:
        return _rule(calls, interval)
    return groups.stretched(old, calls)
