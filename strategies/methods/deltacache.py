"""Knobs of the reuse of whole stacks of blocks (Delta-DiT, arXiv 2406.01125), call by call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictInt

from strategies import schedules, step_masks
from strategies.halves import caught_up
from strategies.knobs import Depth, Knobs, register

MAX_DEPTH = 256
Front = StrictInt | Literal["full", "skip"]


@register
class DeltaCache(Knobs):
    """Reuse of the residual of a whole stretch of blocks, or of the whole prediction."""

    method: ClassVar[str] = "deltacache"
    paper: ClassVar[str] = "Delta-DiT, arXiv 2406.01125; front and tail per call"
    families: ClassVar[tuple[str, ...]] = ("dit", "mmdit", "transformer")
    per_call: ClassVar[tuple[str, ...]] = ("depth", "tail", "order")
    neutral: ClassVar[dict[str, Any]] = {"depth": "full", "tail": 0, "order": 0}
    free_knobs: ClassVar[tuple[str, ...]] = ("order",)
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "depth": ("full", 0, 1, 2, "skip"),
        "order": (0, 1, 2),
    }

    depth: tuple[Front, ...] = Field(
        description="how many leading blocks run before what the others added is added again: "
        '"full" runs all of them, 0 none; "skip" runs nothing at all and repeats the previous '
        "prediction. Counted over all lists of blocks in the order they run"
    )
    tail: tuple[Annotated[StrictInt, Field(ge=0, le=MAX_DEPTH)], ...] = Field(
        default=(0,), description="how many trailing blocks run after it"
    )
    order: tuple[Annotated[int, Field(ge=0, le=2, strict=True)], ...] = Field(
        default=(0,),
        description="what is added: 0 what was added at the last full call, 1 or 2 the linear or "
        "quadratic extrapolation of the last full calls; limited by how many there are so far",
    )

    def model_post_init(self, context: object) -> None:
        for call, depth in enumerate(self.depth):
            if not isinstance(depth, str) and not 0 <= depth <= MAX_DEPTH:
                raise ValueError(
                    f'depth[{call}] is {depth}; allowed are "full", "skip" and whole numbers from '
                    "0 to below the number of the model's blocks"
                )

    @classmethod
    def uniform(
        cls, calls: int, interval: int, depth: Front = 0, tail: int = 0, order: int = 0
    ) -> Self:
        """Full calls at every multiple of `interval`, `depth` and `tail` at the others.

        Raises:
            StrategyError: no positive interval.
        """
        return cls._at(calls, schedules.every(calls, interval), depth, tail, order)

    @classmethod
    def masked(cls, calls: int, name: str, depth: Front = 1) -> Self:
        """Full calls of one of cache-dit's published steps masks, `depth` at the others.

        Raises:
            StrategyError: an unknown name, or too few calls for a mask.
        """
        return cls._at(calls, _computed(step_masks.published_mask(name, calls)), depth, 0, 0)

    @classmethod
    def _at(cls, calls: int, full: Iterable[int], depth: Front, tail: int, order: int) -> Self:
        chosen = set(full)
        return cls(
            depth=tuple("full" if call in chosen else depth for call in range(calls)),
            tail=tuple(0 if call in chosen else tail for call in range(calls)),
            order=(order,) * calls,
        )

    @classmethod
    def starts(cls, calls: int) -> list[Self]:
        """Uniform schedules, cache-dit's published masks, and schedules between two of those.

        The reusing calls have a front of one block, as First Block Cache has, or none.
        """
        found = []
        if step_masks.covers(calls):
            found += [cls.masked(calls, name) for name in step_masks.NAMES]
            slow, ultra = (
                _computed(step_masks.published_mask(name, calls)) for name in ("slow", "ultra")
            )
            full = [schedules.between(slow, ultra, calls, share) for share in (0.25, 0.5, 0.75)]
            found += [cls._at(calls, one, 0, 0, 0) for one in full]
        return found + [cls.uniform(calls, every, depth) for depth in (1, 0) for every in (5, 2, 3)]

    def is_neutral(self) -> bool:
        return all(depth == "full" for depth in self.depth)

    def whole(self, calls: int) -> tuple[bool, ...]:
        return tuple(call == 0 or depth == "full" for call, depth in enumerate(self.depth))

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> DeltaCache:
        depth: tuple[Front, ...] = ("full", *self.depth[1:])
        tail, order = [], []
        full = made = 0  # Full calls so far, and calls that made a prediction.
        for now, behind, wanted in zip(depth, self.tail, self.order, strict=True):
            known = {"full": 1, "skip": made}.get(now, full) if isinstance(now, str) else full
            tail.append(0 if isinstance(now, str) else behind)
            order.append(min(wanted, max(0, known - 1)))
            full += now == "full"
            made += now != "skip"
        update = {"depth": depth, "tail": tuple(tail), "order": tuple(order)}
        return self.model_copy(update=update)

    def caught_up(self, both: tuple[bool, ...]) -> DeltaCache:
        full = caught_up([depth == "full" for depth in self.depth], both)
        depth: list[Front] = []
        behind = False  # Whether one half has an older prediction than the other.
        for now, made, whole in zip(self.depth, full, both, strict=True):
            last: Front = "full" if made or (now == "skip" and whole and behind) else now
            depth.append(last)
            behind = behind if last == "skip" else not whole
        return self.model_copy(update={"depth": tuple(depth)})

    def resample(self, indices: list[int]) -> DeltaCache:
        """Knobs for other calls, with as many full calls in proportion; the others by time."""
        old, new = len(self.depth), len(indices)
        full = set(
            schedules.rescale([c for c, d in enumerate(self.depth) if d == "full"], old, new)
        )
        rest = [call for call, depth in enumerate(self.depth) if depth != "full"]
        depth: list[Front] = ["full"] * new
        tail, order = [0] * new, [self.order[at] for at in indices]
        for call in set(range(new if rest else 0)) - full:
            then = schedules.nearest(rest, indices[call])
            assert then is not None
            depth[call], tail[call] = self.depth[then], self.tail[then]
            order[call] = self.order[then]
        return DeltaCache(depth=tuple(depth), tail=tuple(tail), order=tuple(order))


def _computed(mask: Sequence[bool]) -> list[int]:
    """Calls that a mask names."""
    return [call for call, computed in enumerate(mask) if computed]
