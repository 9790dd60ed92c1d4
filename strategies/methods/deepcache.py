"""Knobs of DeepCache (Ma, Fang, Wang, CVPR 2024), with DaTo's depth per call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictInt

from strategies import schedules
from strategies.knobs import Depth, Knobs, register

MAX_DEPTH = 64


@register
class DeepCache(Knobs):
    """Reuse of the deep features of an earlier call."""

    method: ClassVar[str] = "deepcache"
    paper: ClassVar[str] = "DeepCache, arXiv 2312.00858; depth per call as in DaTo"
    families: ClassVar[tuple[str, ...]] = ("unet",)
    per_call: ClassVar[tuple[str, ...]] = ("depth", "order")
    neutral: ClassVar[dict[str, Any]] = {"depth": "full", "order": 0}
    costless: ClassVar[tuple[str, ...]] = ("order",)

    depth: tuple[StrictInt | Literal["full"], ...] = Field(
        description='how many shallow layers run: "full" runs everything, d the outermost d of the '
        "network's skip levels on top of the cached deep feature (1 is DeepCache's branch 0), 0 "
        "nothing: the previous prediction is repeated"
    )
    order: tuple[Annotated[int, Field(ge=0, le=2, strict=True)], ...] = Field(
        default=(0,),
        description="what stands in for the deep feature: 0 the last one computed, 1 or 2 its "
        "linear or quadratic extrapolation over the calls; limited by how many there are so far",
    )

    def model_post_init(self, context: object) -> None:
        for call, depth in enumerate(self.depth):
            if depth != "full" and not 0 <= depth <= MAX_DEPTH:
                raise ValueError(
                    f'depth[{call}] is {depth}; allowed are "full" and whole numbers from 0 up to '
                    "the number of the model's skip levels (12 for Stable Diffusion 1.5)"
                )

    @classmethod
    def uniform(cls, calls: int, interval: int, depth: int = 1, order: int = 0) -> Self:
        """Full calls at every multiple of `interval` (section 3.3), `depth` at the others.

        Raises:
            StrategyError: no positive interval.
        """
        return cls._at(calls, schedules.every(calls, interval), depth, order)

    @classmethod
    def centred(
        cls,
        calls: int,
        interval: int,
        centre: float | None = None,
        power: float = 1.4,
        depth: int = 1,
        order: int = 0,
    ) -> Self:
        """As many full calls as `uniform`, denser around `centre` (the paper's non-uniform 1:N).

        Args:
            centre: call around which they are dense; by default 15/50 of the generation.
            power: above 1; higher is denser.

        Raises:
            StrategyError: no positive interval, a power below 1 or a centre outside the calls.
        """
        full = schedules.around(calls, interval, centre, power)
        return cls._at(calls, full, depth, order)

    @classmethod
    def _at(cls, calls: int, full: Iterable[int], depth: int, order: int) -> Self:
        chosen = set(full)
        depths: tuple[Depth, ...] = tuple(
            "full" if call in chosen else depth for call in range(calls)
        )
        return cls(depth=depths, order=(order,) * calls)

    def resample(self, indices: list[int]) -> DeepCache:
        """As large a share of full calls, as dense in time as before; the others by time."""
        old, new = len(self.depth), len(indices)
        full = set(
            schedules.stretch([c for c, d in enumerate(self.depth) if d == "full"], old, new)
        )
        rest = [call for call, depth in enumerate(self.depth) if depth != "full"]
        depth: list[Depth] = ["full"] * new
        order = [self.order[at] for at in indices]
        for call in set(range(new if rest else 0)) - full:
            nearest = min((abs(old_call - indices[call]), old_call) for old_call in rest)[1]
            depth[call], order[call] = self.depth[nearest], self.order[nearest]
        return DeepCache(depth=tuple(depth), order=tuple(order))

    def is_neutral(self) -> bool:
        return all(depth == "full" for depth in self.depth)

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> DeepCache:
        depth: tuple[Depth, ...] = ("full", *self.depth[1:])
        order = tuple(
            0 if d == "full" or o == 0 else min(o, max(0, computed(depth[:c], d) - 1))
            for c, (d, o) in enumerate(zip(depth, self.order, strict=True))
        )
        if (depth, order) == (self.depth, self.order):
            return self
        return self.model_copy(update={"depth": depth, "order": order})


def computed(depths: Iterable[Depth], depth: int) -> int:
    """At how many of these calls the feature below the outermost `depth` levels is computed."""
    return sum(d == "full" or d > depth for d in depths)
