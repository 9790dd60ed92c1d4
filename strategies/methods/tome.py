"""Knobs of Token Merging for Stable Diffusion (Bolya & Hoffman, CVPRW 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, StrictInt

from strategies.knobs import Depth, Knobs, register
from strategies.methods.token_share import check_ratio
from strategies.schedules import neutral_where_skipped

Ratio = Annotated[float, Field(ge=0, lt=1, strict=True)]
Stride = Annotated[
    StrictInt,
    Field(
        ge=2,
        le=8,
        description="one merge destination per stride x stride cell of the token grid",
    ),
]
Levels = Annotated[
    StrictInt,
    Field(
        ge=1,
        le=8,
        description="number of resolutions on which it acts, from the largest that has "
        "self-attention",
    ),
]


@register
class ToMe(Knobs):
    """Self-attention over merged tokens."""

    method: ClassVar[str] = "tome"
    paper: ClassVar[str] = "Token Merging for Fast Stable Diffusion, arXiv 2303.17604"
    families: ClassVar[tuple[str, ...]] = ("unet",)
    per_call: ClassVar[tuple[str, ...]] = ("ratio",)
    neutral: ClassVar[dict[str, Any]] = {"ratio": 0.0}
    reduces_tokens: ClassVar[bool] = True
    joint_choices: ClassVar[tuple[Mapping[str, Any], ...]] = ({"ratio": 0.25}, {"ratio": 0.5})
    graded: ClassVar[bool] = True

    ratio: tuple[Ratio, ...] = Field(
        description="share of tokens merged away before self-attention; at most 1 - 1 / stride^2, "
        "the share that is not a merge destination"
    )
    stride: Stride = 2
    levels: Levels = 1

    def model_post_init(self, context: object) -> None:
        check_ratio(self.ratio, self.stride, "stride")

    def is_neutral(self) -> bool:
        return not any(self.ratio)

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> ToMe:
        ratio = neutral_where_skipped(self.ratio, depths, 0.0)
        return self if ratio == self.ratio else self.model_copy(update={"ratio": ratio})
