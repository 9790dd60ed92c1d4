"""Knobs of Cached Adaptive Token Merging (Saghatchian et al., arXiv 2501.00946)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictInt

from strategies.knobs import Depth, Knobs, check_calls, register, silence
from strategies.methods.tome import Levels, Stride
from strategies.schedules import carry_over, happens


@register
class CAToMe(Knobs):
    """Token merging of all pairs above a similarity, with the pairs kept between checkpoints."""

    method: ClassVar[str] = "catome"
    paper: ClassVar[str] = "Cached Adaptive Token Merging, arXiv 2501.00946"
    families: ClassVar[tuple[str, ...]] = ("unet",)
    per_call: ClassVar[tuple[str, ...]] = ("threshold",)
    neutral: ClassVar[dict[str, Any]] = {"threshold": 1.0}
    reduces_tokens: ClassVar[bool] = True

    threshold: tuple[Annotated[float, Field(ge=-1, le=1, strict=True)], ...] = Field(
        description="tokens whose cosine similarity to a merge destination is at least this are "
        "merged; 1 merges nothing. Read when the pairs are computed"
    )
    checkpoints: tuple[StrictInt, ...] | Literal["all"] = Field(
        default="all",
        description="calls at which the pairs are computed anew; between them they are reused. "
        "The first call always computes them",
    )
    stride: Stride = 2
    levels: Levels = 1

    def model_post_init(self, context: object) -> None:
        if self.checkpoints != "all":
            check_calls(self.checkpoints, len(self.threshold), "checkpoints")

    def is_neutral(self) -> bool:
        return all(value == 1 for value in self.threshold)

    def computes(self, call: int) -> bool:
        """Whether the pairs are computed anew at a call."""
        return call == 0 or self.checkpoints == "all" or happens(self.checkpoints, call)

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> CAToMe:
        threshold = silence(self.threshold, depths, 1.0)
        active = [call for call, value in enumerate(threshold) if value < 1]
        asked = [call for call in range(len(threshold)) if self.computes(call)]
        # A checkpoint where nothing is merged takes effect at the next call that merges.
        places = {bisect_left(active, call) for call in asked} - {len(active)}
        moved = [active[place] for place in sorted(places)]
        every = moved == active
        return self.model_copy(
            update={"threshold": threshold, "checkpoints": "all" if every else tuple(moved)}
        )

    def take(self, indices: list[int]) -> CAToMe:
        threshold = tuple(self.threshold[i] for i in indices)
        checkpoints = self.checkpoints
        if checkpoints != "all":
            checkpoints = carry_over(checkpoints, indices)
        return CAToMe(**(self.model_dump() | {"threshold": threshold, "checkpoints": checkpoints}))

    def at(self, call: int) -> Mapping[str, Any]:
        if self.threshold[call] == 1:
            return {}
        return {
            "threshold": self.threshold[call],
            "pairs": "computed" if self.computes(call) else "reused",
            "stride": self.stride,
            "levels": self.levels,
        }
