"""Knobs of ToCa (Zou et al., "Token-wise Feature Caching", arXiv 2410.05317)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from strategies.errors import StrategyError
from strategies.halves import caught_up
from strategies.knobs import Depth, Knobs, register

Weight = Annotated[float, Field(ge=0, le=100, strict=True)]


@register
class ToCa(Knobs):
    """Reuse of attention outputs, and feed-forwards computed for the tokens with the best
    scores.
    """

    method: ClassVar[str] = "toca"
    paper: ClassVar[str] = "ToCa, arXiv 2410.05317"
    families: ClassVar[tuple[str, ...]] = ("dit", "mmdit", "transformer")
    per_call: ClassVar[tuple[str, ...]] = ("ratio",)
    neutral: ClassVar[dict[str, Any]] = {"ratio": 1.0}
    runs_token_subset: ClassVar[bool] = True
    joint_choices: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"ratio": 0.6},
        {"ratio": 0.3},
        {"ratio": 0.15},
        {"ratio": 0.07},
    )
    graded: ClassVar[bool] = True

    ratio: tuple[Annotated[float, Field(ge=0, le=1, strict=True)], ...] = Field(
        description="share of the tokens whose feed-forward is computed while attention is reused; "
        "1 computes everything, 0 nothing (FORA)"
    )
    score: Literal["change", "attention"] = Field(
        default="change",
        description="criterion by which tokens are computed: how much the feed-forward's input "
        "has changed since its output was computed, or how much attention the token "
        "got at the last full call (the paper; needs the attention map, which fused "
        "kernels never make)",
    )
    staleness: Weight = Field(
        default=0.25,
        description="amount added to the score of a token that has not been "
        "computed for as long as any",
    )
    cell_bonus: Weight = Field(
        default=0.6,
        description="share by which the score of the best token of each 2 x 2 cell is raised",
    )
    depth_slope: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        strict=True,
        description="the last block computes (1 + slope) times the ratio, the first (1 - slope)",
    )

    @classmethod
    def published(cls, calls: int, interval: int = 3, ratio: float = 0.07) -> Self:
        """The published code's full calls, and the same ratio at all others.

        Calls are counted down to 0. The first is full, and so are those whose number is a multiple
        of a distance, which each full call sets again: `interval / (1.4 - 0.8 * number / calls)`,
        rounded, but 2 from two fifths to one fifth of the calls.

        Raises:
            StrategyError: no positive interval.
        """
        if interval < 1:
            raise StrategyError(f"interval is {interval}; give a whole number from 1 up")
        full, distance = [], interval
        for number in range(calls - 1, -1, -1):
            full.append(number == calls - 1 or number % distance == 0)
            if full[-1]:
                distance = max(1, round(interval / (1.4 - 0.8 * number / calls)))
                if 0.2 * calls <= number < 0.4 * calls:
                    distance = 2
        return cls(ratio=tuple(1.0 if now else ratio for now in full))

    def full(self, call: int) -> bool:
        """Whether a call computes everything."""
        return self.ratio[call] == 1

    @classmethod
    def starts(cls, calls: int) -> list[Self]:
        """The published code's schedule."""
        return [cls.published(calls, interval) for interval in (2, 3)]

    def is_neutral(self) -> bool:
        return all(ratio == 1 for ratio in self.ratio[1:])

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> Self:
        update: dict[str, Any] = {"ratio": (1.0, *self.ratio[1:])}
        if all(ratio in (0, 1) for ratio in self.ratio[1:]):
            fields = type(self).model_fields
            unused = ("score", "staleness", "cell_bonus", "depth_slope")
            update |= {name: fields[name].default for name in unused}
        return self.model_copy(update=update)

    def caught_up(self, both: tuple[bool, ...]) -> Self:
        full = caught_up([ratio == 1 for ratio in self.ratio], both)
        ratio = tuple(1.0 if now else one for now, one in zip(full, self.ratio, strict=True))
        return self.model_copy(update={"ratio": ratio})

    def shortened(self, whole: tuple[bool, ...]) -> Self:
        return self.caught_up(whole)

    def at(self, call: int) -> Mapping[str, Any]:
        if call == 0 or self.full(call):
            return {}
        return dict(self) | {"ratio": self.ratio[call]}
