"""Knobs of Block Caching (Wimbauer et al., "Cache Me if You Can", CVPR 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import FailFast, Field, StrictInt

from strategies.errors import StrategyError
from strategies.knobs import Depth, Knobs, check_calls, register
from strategies.limits import MAX_BLOCKS
from strategies.schedules import carry_over, happens


@register
class BlockCache(Knobs):
    """Reuse of what single blocks add to their input, each on its own schedule."""

    method: ClassVar[str] = "blockcache"
    paper: ClassVar[str] = "Cache Me if You Can, arXiv 2312.03209; without its trained scale-shift"
    families: ClassVar[tuple[str, ...]] = ("unet",)
    per_call: ClassVar[tuple[str, ...]] = ()
    neutral: ClassVar[dict[str, Any]] = {}

    # The first wrong call of a block is the error; others would cost as much again each.
    refresh: dict[str, Annotated[tuple[StrictInt, ...], FailFast()]] = Field(
        max_length=MAX_BLOCKS,
        description="by block name, the calls at which the block is computed; at the others what "
        "it added last is added again. The first call always computes, as do blocks not named",
    )

    def model_post_init(self, context: object) -> None:
        for name, calls in self.refresh.items():
            check_calls(calls, None, f"refresh.{name}")

    @classmethod
    def from_curves(cls, curves: Mapping[str, Sequence[float]], delta: float) -> Self:
        """The schedule of section 3.3: recompute once the change adds up to more than `delta`.

        Args:
            curves: by block name, the relative L1 change of what the block adds, from each call to
                the next: `curves[name][i]` belongs to call `i + 1`.
            delta: threshold on the sum since the last computed call; 0 computes every call.

        Raises:
            StrategyError: a negative threshold.
        """
        if not delta >= 0:
            raise StrategyError(f"delta is {delta}; give a number from 0 up")
        refresh = {}
        for name, changes in curves.items():
            computed, total = [0], 0.0
            for call, change in enumerate(changes, start=1):
                total += change
                if total > delta or delta == 0:
                    computed.append(call)
                    total = 0.0
            if len(computed) <= len(changes):
                refresh[name] = tuple(computed)
        return cls(refresh=refresh)

    def is_neutral(self) -> bool:
        return not self.refresh

    def check(self, calls: int) -> None:
        for name, chosen in self.refresh.items():
            check_calls(chosen, calls, f"refresh.{name}")

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> BlockCache:
        full = {name: tuple(sorted({0, *c})) for name, c in sorted(self.refresh.items())}
        return BlockCache(refresh={n: c for n, c in full.items() if len(c) < calls})

    def take(self, indices: list[int]) -> BlockCache:
        return BlockCache(refresh={n: carry_over(c, indices) for n, c in self.refresh.items()})

    def at(self, call: int) -> Mapping[str, Any]:
        reused = [
            n for n, calls in sorted(self.refresh.items()) if call and not happens(calls, call)
        ]
        return {"reuse": tuple(reused)} if reused else {}
