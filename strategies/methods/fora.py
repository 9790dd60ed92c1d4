"""Knobs of FORA (Selvaraju et al., "Fast-Forward Caching", arXiv 2407.01425)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StrictBool, model_validator

from strategies.errors import StrategyError
from strategies.knobs import Depth, Knobs, register
from strategies.limits import MAX_GROUPS
from strategies.schedules import nearest, stretch

COMPONENTS = ("attn", "cross", "mlp")
Groups = Annotated[tuple[StrictBool, ...], Field(min_length=1)]
Computed = StrictBool | Groups
Stream = tuple[bool, ...]


@register
class FORA(Knobs):
    """Reuse of the outputs of attentions and feed-forwards, in all blocks or by groups of blocks.

    A list of G values is for G groups of consecutive blocks: block i of L is in group i * G // L.
    """

    method: ClassVar[str] = "fora"
    paper: ClassVar[str] = (
        "FORA, arXiv 2407.01425; per component and group of blocks, extrapolation as in TaylorSeer"
    )
    families: ClassVar[tuple[str, ...]] = ("dit", "mmdit")
    per_call: ClassVar[tuple[str, ...]] = ("attn", "cross", "mlp", "order")
    neutral: ClassVar[dict[str, Any]] = {"attn": True, "cross": True, "mlp": True, "order": 0}
    costless: ClassVar[tuple[str, ...]] = ("order",)

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
        description="what stands in for an output: 0 the last one computed, 1 or 2 its linear or "
        "quadratic extrapolation over the calls; limited by how many there are so far",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_groups(cls, given: Any) -> Any:
        """Refuse lists that do not go together; a list of one repeated value is that value."""
        if not isinstance(given, dict):
            return given
        found, first, groups = dict(given), "", 0
        for name in COMPONENTS:
            values = given.get(name)
            if not isinstance(values, list | tuple):
                continue
            for call, value in enumerate(values):
                where = f"{name}[{call}]"
                items = value if isinstance(value, list | tuple) else [value]
                if not items or not all(isinstance(item, bool) for item in items):
                    raise ValueError(
                        f"{where} is {value!r:.80}; give true, false, or a list of these with one "
                        "value for each group of blocks"
                    )
                if isinstance(value, list | tuple):
                    if len(value) > MAX_GROUPS:
                        raise ValueError(
                            f"{where} has {len(value)} groups of blocks; at most {MAX_GROUPS} are "
                            "allowed"
                        )
                    if first and len(value) != groups:
                        raise ValueError(
                            f"{where} has {len(value)} groups of blocks, but {first} has {groups}; "
                            "give all lists the same length"
                        )
                    first, groups = first or where, len(value)
            found[name] = tuple(_plain(value) for value in values)
        return found

    @classmethod
    def published(cls, calls: int, interval: int, order: int = 0) -> Self:
        """FORA's rule: the first call, and every call whose number from the end, counted from 0, is
        a multiple of `interval`, so that the last call is always full.

        Raises:
            StrategyError: no positive interval.
        """
        full = _rule(calls, interval)
        return cls(attn=full, cross=full, mlp=full, order=(order,) * calls)

    @property
    def groups(self) -> int:
        """How many groups of blocks its lists have; 1 where there are none."""
        rows = (value for name in COMPONENTS for value in getattr(self, name))
        return next((len(value) for value in rows if isinstance(value, tuple)), 1)

    def computed(self, component: str, block: int, blocks: int) -> Stream:
        """For each call, whether a component of one block is computed.

        Args:
            component: `attn`, `cross` or `mlp`.
            block: place of the block among the model's `blocks`.

        Raises:
            StrategyError: fewer blocks than groups.
        """
        if blocks < self.groups:
            raise StrategyError(
                f"methods.fora has lists for {self.groups} groups of blocks, but the model has "
                f"{blocks} blocks; give at most {blocks} values per list"
            )
        return self._stream(component, block * self.groups // blocks)

    def _stream(self, component: str, group: int) -> Stream:
        values: Sequence[Computed] = getattr(self, component)
        return tuple(value[group] if isinstance(value, tuple) else value for value in values)

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

    def resample(self, indices: list[int]) -> FORA:
        """Each component of each group keeps its rule: FORA's stays FORA's with the same interval,
        any other its share of computed calls, as dense in time; orders go by time.
        """
        new = len(indices)
        lists = {}
        for name in COMPONENTS:
            streams = [self._stream(name, group) for group in range(self.groups)]
            moved = {stream: _resampled(stream, new) for stream in set(streams)}
            rows = [moved[stream] for stream in streams]
            lists[name] = tuple(_plain(values) for values in zip(*rows, strict=True))
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
    """A component's calls for another number of them; the first always computes."""
    old = (True, *stream[1:])
    chosen = [call for call, value in enumerate(old) if value]
    # The rule counts from the last call, so the last two calls that it chose tell the interval.
    interval = max(1, chosen[-1] - chosen[-2]) if len(chosen) > 1 else 1
    if _rule(len(old), interval) == old:
        return _rule(calls, interval)
    full = set(stretch(chosen, len(old), calls))
    return tuple(call == 0 or call in full for call in range(calls))


def _plain(value: Any) -> Any:
    """A list of one repeated value as that value, another list as a tuple."""
    if not isinstance(value, list | tuple):
        return value
    return value[0] if len(set(value)) == 1 else tuple(value)
