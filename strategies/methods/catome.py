"""Knobs of Cached Adaptive Token Merging (Saghatchian et al., arXiv 2501.00946)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StrictInt

from strategies.halves import caught_up
from strategies.knobs import Depth, Knobs, register
from strategies.methods.tome import Levels, Stride
from strategies.schedules import check_calls, happens, neutral_where_skipped, remap_events


@register
class CAToMe(Knobs):
    """Token merging of all pairs above a similarity, with the pairs kept between checkpoints."""

    method: ClassVar[str] = "catome"
    paper: ClassVar[str] = "Cached Adaptive Token Merging, arXiv 2501.00946"
    families: ClassVar[tuple[str, ...]] = ("unet",)
    per_call: ClassVar[tuple[str, ...]] = ("threshold",)
    neutral: ClassVar[dict[str, Any]] = {"threshold": 1.0}
    reduces_tokens: ClassVar[bool] = True
    call_list_knobs: ClassVar[tuple[str, ...]] = ("checkpoints",)
    # The threshold of a call that reuses pairs is read only where there are none yet.
    joint_choices: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"threshold": 0.9, "checkpoints": True},
        {"threshold": 0.8, "checkpoints": True},
        {"threshold": 0.7, "checkpoints": True},
        {"threshold": 0.6, "checkpoints": True},
        {"threshold": 0.7, "checkpoints": False},
    )
    graded: ClassVar[bool] = True

    threshold: tuple[Annotated[float, Field(ge=-1, le=1, strict=True)], ...] = Field(
        description="tokens whose cosine similarity to a merge destination is at least this are "
        "merged; 1 merges nothing. Read when the pairs are computed; between checkpoints only "
        "whether it is below 1 counts"
    )
    checkpoints: tuple[StrictInt, ...] | Literal["all"] = Field(
        default="all",
        description="calls at which the pairs are computed again; between them they are reused. "
        "The first call always computes them",
    )
    stride: Stride = 2
    levels: Levels = 1

    def model_post_init(self, context: object) -> None:
        if self.checkpoints != "all":
            check_calls(self.checkpoints, len(self.threshold), "checkpoints")

    @classmethod
    def starts(cls, calls: int) -> list[Self]:
        """Thresholds of the paper's Table III with pairs found at every call.

        Its Table II, which keeps pairs, is among the presets.
        """
        return [cls(threshold=(threshold,) * calls) for threshold in (0.9, 0.7)]

    def is_neutral(self) -> bool:
        return all(value == 1 for value in self.threshold)

    def computes(self, call: int) -> bool:
        """Whether a call finds the pairs again."""
        return call == 0 or self.checkpoints == "all" or happens(self.checkpoints, call)

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> CAToMe:
        asked = neutral_where_skipped(self.threshold, depths, 1.0)
        active = [call for call, value in enumerate(asked) if value < 1]
        moved = self._moved(active)
        threshold = tuple(
            1.0 if value == 1 else asked[last]
            for value, last in zip(asked, _latest(moved, len(asked)), strict=True)
        )
        update = {"threshold": threshold, "checkpoints": "all" if moved == active else tuple(moved)}
        return self.model_copy(update=update)

    def _moved(self, active: list[int]) -> list[int]:
        """Calls that find pairs, moved to calls that merge.

        A checkpoint at a call that merges nothing takes effect at the next one that merges.
        """
        asked = [call for call in range(len(self.threshold)) if self.computes(call)]
        places = {bisect_left(active, call) for call in asked} - {len(active)}
        return [active[place] for place in sorted(places)]

    def caught_up(self, both: tuple[bool, ...]) -> CAToMe:
        if self.checkpoints == "all":
            return self
        made = self.canonical(len(self.threshold), None)
        asked = caught_up([made.computes(call) for call in range(len(both))], both)
        chosen = tuple(call for call, computed in enumerate(asked) if computed)
        return made.model_copy(update={"checkpoints": chosen})

    def in_force(self) -> tuple[float, ...]:
        """Threshold with which each call's pairs were found; 1 if nothing is merged."""
        return self.canonical(len(self.threshold), None).threshold

    def take(self, indices: list[int]) -> CAToMe:
        known = self.in_force()
        threshold = tuple(known[i] for i in indices)
        checkpoints = self.checkpoints
        if checkpoints != "all":
            checkpoints = remap_events(checkpoints, indices)
        return CAToMe(**(self.model_dump() | {"threshold": threshold, "checkpoints": checkpoints}))

    def read(self, call: int) -> Mapping[str, Any]:
        if self.threshold[call] == 1:
            return {"threshold": 1.0}
        if self.computes(call):
            return {"threshold": self.threshold[call], "checkpoints": True}
        return {"checkpoints": False}

    def at(self, call: int) -> Mapping[str, Any]:
        if self.threshold[call] == 1:
            return {}
        return {
            "threshold": self.threshold[call],
            "pairs": "computed" if self.computes(call) else "reused",
            "stride": self.stride,
            "levels": self.levels,
        }


def _latest(calls: list[int], count: int) -> list[int]:
    """Last of ascending calls up to each call; before the first, the call itself."""
    found = []
    for call in range(count):
        at = bisect_right(calls, call)
        found.append(calls[at - 1] if at else call)
    return found
