"""Knobs of DaTo's token pruning (Zhang et al., "Token Pruning for Caching Better")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, StrictBool, StrictInt

from strategies.knobs import Depth, Knobs, register
from strategies.methods.token_share import check_ratio
from strategies.methods.tome import Levels, Ratio
from strategies.schedules import neutral_where_skipped


@register
class DaTo(Knobs):
    """Self-attention without tokens that a base token can replace."""

    method: ClassVar[str] = "dato"
    paper: ClassVar[str] = "Token Pruning for Caching Better, section 3.2"
    families: ClassVar[tuple[str, ...]] = ("unet",)
    per_call: ClassVar[tuple[str, ...]] = ("ratio",)
    neutral: ClassVar[dict[str, Any]] = {"ratio": 0.0}
    reduces_tokens: ClassVar[bool] = True
    joint_choices: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"ratio": 0.3},
        {"ratio": 0.5},
        {"ratio": 0.7},
    )
    graded: ClassVar[bool] = True

    ratio: tuple[Ratio, ...] = Field(
        description="share of tokens pruned before self-attention; at most 1 - 1 / patch^2, the "
        "share that is not a base token"
    )
    patch: StrictInt = Field(
        default=2, ge=2, le=8, description="one base token per patch x patch tokens of the grid"
    )
    align_cfg: StrictBool = Field(
        default=True,
        description="unconditional rows take the base tokens of the conditional ones (equation 8)",
    )
    levels: Levels = 1
    recover: Literal["base", "kept"] = Field(
        default="base",
        description="a pruned token takes the output of the most similar base token (the paper) or "
        "of the most similar token of all that were kept (the published code)",
    )
    diff_score: StrictBool = Field(
        default=True,
        description="base tokens are those that change most between calls (equation 6); false "
        "takes random ones, as in the paper's ablation",
    )
    noise: float = Field(
        default=0.0,
        strict=True,
        ge=0,
        le=100,
        description="standard deviation of Gaussian noise added to the score; 1 is the published "
        "search code's share of noise",
    )
    seed: StrictInt = Field(default=0, ge=0, lt=2**31, description="random seed of this method")

    def model_post_init(self, context: object) -> None:
        check_ratio(self.ratio, self.patch, "patch")

    @classmethod
    def starts(cls, calls: int) -> list[Self]:
        """The middle and the largest of the paper's ratios, at every call."""
        return [cls(ratio=(ratio,) * calls) for ratio in (0.5, 0.7)]

    def is_neutral(self) -> bool:
        return not any(self.ratio)

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> DaTo:
        alive: dict[str, Any] = {"ratio": neutral_where_skipped(self.ratio, depths, 0.0)}
        if not self.diff_score:
            alive["noise"] = 0.0
        return self.model_copy(update=alive)
