"""Knobs of Block Caching (Wimbauer et al., "Cache Me if You Can", CVPR 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import FailFast, Field, StrictInt, model_validator

from strategies.data_files.limits import MAX_BLOCKS
from strategies.errors import StrategyError
from strategies.halves import caught_up
from strategies.knobs import Depth, Knobs, register
from strategies.methods import groups
from strategies.methods.groups import Computed, Stream
from strategies.schedules import check_calls, happens, remap_events


@register
class BlockCache(Knobs):
    """Reuse of the contributions of single blocks, each on its own schedule.

    Blocks are named in `refresh`, or belong to groups of consecutive blocks in `compute`, as in
    FORA: with G groups block i of L is in group i * G // L.
    """

    method: ClassVar[str] = "blockcache"
    paper: ClassVar[str] = "Cache Me if You Can, arXiv 2312.03209; without its trained scale-shift"
    families: ClassVar[tuple[str, ...]] = ("unet",)
    per_call: ClassVar[tuple[str, ...]] = ("compute",)
    neutral: ClassVar[dict[str, Any]] = {"compute": True}
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "compute": (True, (False, True, True), (True, False, True), (True, True, False), False),
    }
    graded: ClassVar[bool] = True

    # The first wrong call of a block is the error; others would cost as much again each.
    refresh: dict[str, Annotated[tuple[StrictInt, ...], FailFast()]] = Field(
        default={},
        max_length=MAX_BLOCKS,
        description="calls at which each named block is computed; at the others its last "
        "contribution is added again. The first call always computes; blocks not "
        "named follow compute",
    )
    compute: tuple[Computed, ...] = Field(
        default=(True,),
        description="whether the blocks that refresh does not name are computed; a list has one "
        "value for each of G groups of consecutive blocks, and G is the same wherever there is a "
        "list",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_groups(cls, given: Any) -> Any:
        return groups.read_groups(given, ["compute"])

    def model_post_init(self, context: object) -> None:
        for name, calls in self.refresh.items():
            check_calls(calls, None, f"refresh.{name}")

    @classmethod
    def from_curves(cls, curves: Mapping[str, Sequence[float]], delta: float) -> Self:
        """The schedule of section 3.3: compute again once the change adds up to more than `delta`.

        Args:
            curves: relative L1 change of each block's contribution, by its name, from each call to
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

    @classmethod
    def starts(cls, calls: int) -> list[Self]:
        """Settings that compute the middle third of the blocks, or all of them, at every other
        call.
        """
        inner: Computed = (True, False, True)
        rows = [[inner if call % 2 else True for call in range(calls)]]
        rows.append([call % 2 == 0 for call in range(calls)])
        return [cls(compute=tuple(row)) for row in rows]

    def is_neutral(self) -> bool:
        return not self.refresh and all(value is True for value in self.compute)

    def check(self, calls: int) -> None:
        for name, chosen in self.refresh.items():
            check_calls(chosen, calls, f"refresh.{name}")

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> BlockCache:
        full = {name: tuple(sorted({0, *c})) for name, c in sorted(self.refresh.items())}
        by_groups = not all(value is True for value in self.compute[1:])
        # A block that is named and always computes is not one that goes by its group.
        refresh = {n: c for n, c in full.items() if by_groups or len(c) < calls}
        compute = (True, *self.compute[1:]) if self.compute else (True,) * calls
        return BlockCache(refresh=refresh, compute=compute)

    def caught_up(self, both: tuple[bool, ...]) -> BlockCache:
        refresh = {}
        for name, chosen in self.refresh.items():
            asked = set(chosen)
            made = caught_up([call in asked for call in range(len(both))], both)
            refresh[name] = tuple(call for call, computed in enumerate(made) if computed)
        streams = [
            groups.stream(self.compute, g) for g in range(groups.count_groups([self.compute]))
        ]
        moved = [caught_up(one, both) for one in streams if self.compute]
        compute = groups.merged_streams(moved) if moved else self.compute
        return self.model_copy(update={"refresh": refresh, "compute": compute})

    def take(self, indices: list[int]) -> BlockCache:
        refresh = {n: remap_events(c, indices) for n, c in self.refresh.items()}
        compute = tuple(self.compute[i] for i in indices) if self.compute else ()
        return BlockCache(refresh=refresh, compute=compute)

    def resample(self, indices: list[int]) -> BlockCache:
        """Knobs in which every group of blocks keeps its share of computed calls, as dense in
        time.
        """
        streams = [
            groups.stream(self.compute, g) for g in range(groups.count_groups([self.compute]))
        ]
        moved = [groups.stretched(one, len(indices)) for one in streams if self.compute]
        return self.take(indices).model_copy(update={"compute": groups.merged_streams(moved)})

    def computed(self, block: int, blocks: int) -> Stream | None:
        """Whether an unnamed block is computed, for each call; None if it always is.

        Args:
            block: index of the block.
            blocks: number of the model's blocks.

        Raises:
            StrategyError: fewer blocks than groups.
        """
        group = groups.group_of(self.method, block, blocks, groups.count_groups([self.compute]))
        found = groups.stream(self.compute, group)
        return None if all(found[1:]) else found

    def at(self, call: int) -> Mapping[str, Any]:
        reused = [
            n for n, calls in sorted(self.refresh.items()) if call and not happens(calls, call)
        ]
        found: dict[str, Any] = {"reuse": tuple(reused)} if reused else {}
        now = self.compute[call] if call and self.compute else True
        return found if now is True else found | {"compute": now}
