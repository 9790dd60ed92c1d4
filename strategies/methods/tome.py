"""Knobs of Token Merging for Stable Diffusion (Bolya & Hoffman, CVPRW 2023)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from strategies.knobs import Depth, Knobs, register


@register
class ToMe(Knobs):
    """Self-attention over merged tokens.

    Attributes:
        ratio: per call, the share of tokens merged away before self-attention; at most
            `1 - 1 / stride**2`, the share that is not a merge destination.
        stride: one merge destination per `stride x stride` cell of the token grid.
        levels: on how many resolutions it acts, counted from the largest that has self-attention.
    """

    method: ClassVar[str] = "tome"
    paper: ClassVar[str] = "Token Merging for Fast Stable Diffusion, arXiv 2303.17604"
    families: ClassVar[tuple[str, ...]] = ("unet",)
    per_call: ClassVar[tuple[str, ...]] = ("ratio",)
    neutral: ClassVar[dict[str, Any]] = {"ratio": 0.0}

    ratio: tuple[Annotated[float, Field(ge=0, lt=1)], ...]
    stride: int = Field(default=2, ge=2, le=8)
    levels: int = Field(default=1, ge=1, le=8)

    def model_post_init(self, context: object) -> None:
        limit = 1 - 1 / self.stride**2
        for call, ratio in enumerate(self.ratio):
            if ratio > limit:
                raise ValueError(
                    f"ratio[{call}] is {ratio}, but with stride {self.stride} at most {limit:g} of "
                    "the tokens can be merged; lower the ratio or raise the stride"
                )

    def is_neutral(self) -> bool:
        return not any(self.ratio)

    def canonical(self, depths: tuple[Depth, ...] | None) -> ToMe:
        if depths is None:
            return self
        alive = [0.0 if d == 0 else r for r, d in zip(self.ratio, depths, strict=True)]
        return self.model_copy(update={"ratio": tuple(alive)})
