"""Knobs of DeepCache (Ma, Fang, Wang, CVPR 2024), with DaTo's depth per call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
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
    free_knobs: ClassVar[tuple[str, ...]] = ("order",)
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "depth": ("full", 0, 1, 2, 3, 6),
        "order": (0, 1, 2),
    }

    depth: tuple[StrictInt | Literal["full"], ...] = Field(
        description='number of shallow layers that run: "full" runs everything, d the outermost '
        "d of the network's skip levels on top of the cached deep feature (1 is "
        "DeepCache's branch 0), 0 nothing: the previous prediction is repeated"
    )
    order: tuple[Annotated[int, Field(ge=0, le=2, strict=True)], ...] = Field(
        default=(0,),
        description="replacement of the deep feature: 0 the last one computed, 1 or 2 its linear "
        "or quadratic extrapolation over the calls; limited by how many there are so "
        "far",
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
        """Schedule with as many full calls as `uniform`, denser around `centre` (the paper's
        non-uniform 1:N).

        Args:
            calls: number of calls of the generation.
            interval: calls per full call on average.
            centre: call around which they are dense; by default 15/50 of the generation.
            power: number above 1; higher is denser.
            depth: depth of the other calls.
            order: order of the extrapolation.

        Raises:
            StrategyError: no positive interval, a power below 1 or a centre outside the calls.
        """
        full = schedules.centred(calls, interval, centre, power)
        return cls._at(calls, full, depth, order)

    @classmethod
    def _at(cls, calls: int, full: Iterable[int], depth: int, order: int) -> Self:
        chosen = set(full)
        depths: tuple[Depth, ...] = tuple(
            "full" if call in chosen else depth for call in range(calls)
        )
        return cls(depth=depths, order=(order,) * calls)

    def resample(self, indices: list[int]) -> DeepCache:
        """Knobs with the same share of full calls, as dense in time; the other calls go by time."""
        old, new = len(self.depth), len(indices)
        full = set(
            schedules.rescale([c for c, d in enumerate(self.depth) if d == "full"], old, new)
        )
        rest = [call for call, depth in enumerate(self.depth) if depth != "full"]
        depth: list[Depth] = ["full"] * new
        order = [self.order[at] for at in indices]
        for call in set(range(new if rest else 0)) - full:
            old_call = schedules.nearest(rest, indices[call])
            assert old_call is not None
            depth[call], order[call] = self.depth[old_call], self.order[old_call]
        return DeepCache(depth=tuple(depth), order=tuple(order))

    def caught_up(self, both: tuple[bool, ...]) -> DeepCache:
        depth: list[Depth] = []
        behind: dict[Depth, bool] = {}  # Whether one half has an older feature, by depth.
        depths = [one for one in set(self.depth) if one != "full"]
        for now, whole in zip(self.depth, both, strict=True):
            last = "full" if not depth or (whole and behind.get(now, False)) else now
            depth.append(last)
            made = [one for one in depths if last == "full" or one < last]
            behind |= dict.fromkeys(made, not whole)
        return self.model_copy(update={"depth": tuple(depth)})

    def is_neutral(self) -> bool:
        return all(depth == "full" for depth in self.depth)

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> DeepCache:
        depth: tuple[Depth, ...] = ("full", *self.depth[1:])
        so_far = Counter[Depth]()
        order = []
        for now, wanted in zip(depth, self.order, strict=True):
            known = computed(so_far, now) if now != "full" and wanted else 1
            order.append(min(wanted, max(0, known - 1)))
            so_far[now] += 1
        if (depth, tuple(order)) == (self.depth, self.order):
            return self
        return self.model_copy(update={"depth": depth, "order": tuple(order)})


def computed(depths: Mapping[Depth, int], depth: int) -> int:
    """Number of calls at which the feature below the outermost `depth` levels is computed.

    Args:
        depths: number of calls with each depth.
        depth: depth of the call that reuses the feature.
    """
    return sum(count for d, count in depths.items() if d == "full" or d > depth)
