"""Knobs shared by CAT Pruning and AT-EDM: the share of the image's tokens that runs at each
call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StrictInt

from strategies.halves import caught_up
from strategies.knobs import Depth, Knobs

Share = Annotated[float, Field(gt=0, le=1, strict=True)]
LEAD = 2


class TokenShare(Knobs):
    """Share of the tokens that runs at each call, from a call on."""

    families: ClassVar[tuple[str, ...]] = ("dit", "mmdit", "transformer")
    per_call: ClassVar[tuple[str, ...]] = ("alpha",)
    neutral: ClassVar[dict[str, Any]] = {"alpha": 1.0}
    runs_token_subset: ClassVar[bool] = True
    call_index_knobs: ClassVar[Mapping[str, int]] = {"start": LEAD}
    # From which call on it acts is in the shares: 1 does nothing.
    joint_choices: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"alpha": 0.8},
        {"alpha": 0.5},
        {"alpha": 0.3},
        {"alpha": 0.2},
    )
    graded: ClassVar[bool] = True

    alpha: tuple[Share, ...] = Field(
        description="share of the image's tokens that run (alpha in the paper); 1 runs all"
    )
    start: StrictInt = Field(
        default=LEAD,
        ge=LEAD,
        description="first call at which tokens are left out; t0 of the paper, whose calls count "
        "from 1, is the call before it",
    )

    def check(self, calls: int) -> None:
        if self.start >= max(calls, LEAD + 1):  # With fewer calls than that nothing is left out.
            raise ValueError(
                f"start is {self.start}, but the strategy makes {calls} calls; give a call from "
                f"{LEAD} to {calls - 1}"
            )

    @classmethod
    def starts(cls, calls: int) -> list[Self]:
        """Settings with the papers' share of the tokens, from a sixth of the calls on."""
        start = max(LEAD, round(calls / 6))
        return [cls(alpha=(share,) * calls, start=start) for share in (0.3, 0.5) if start < calls]

    def is_neutral(self) -> bool:
        return all(share == 1 for share in self.alpha[self.start :])

    def shares(self) -> tuple[float, ...]:
        """Share at each call, 1 before the start."""
        return tuple(1.0 if c < self.start else share for c, share in enumerate(self.alpha))

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> Self:
        shares = self.shares()
        acting = [call for call, share in enumerate(shares) if share < 1]
        update = {"alpha": shares, "start": acting[0] if acting else LEAD}
        return self.model_copy(update=update)

    def caught_up(self, both: tuple[bool, ...]) -> Self:
        shares = self.shares()
        full = caught_up([share == 1 for share in shares], both)
        alpha = tuple(1.0 if now else share for now, share in zip(full, shares, strict=True))
        return self.model_copy(update={"alpha": alpha})

    def take(self, indices: list[int]) -> Self:
        shares = self.shares()
        alpha = tuple(shares[i] for i in indices)
        # The first calls always run in full: nothing is known of any token before them.
        alpha = tuple(1.0 if call < LEAD else share for call, share in enumerate(alpha))
        start = max(LEAD, sum(i < self.start for i in indices))
        start = start if start < len(indices) else LEAD
        return self.model_copy(update={"alpha": alpha, "start": start})

    def at(self, call: int) -> Mapping[str, Any]:
        share = self.alpha[call]
        return {"alpha": share} if call >= self.start and share < 1 else {}


def check_ratio(ratios: Sequence[float], cell: int, name: str) -> None:
    """Refuse to remove more tokens than a grid has besides one per `cell x cell`.

    Raises:
        ValueError: a ratio is too large; names the call, the value and the limit.
    """
    limit = 1 - 1 / cell**2
    for call, ratio in enumerate(ratios):
        if ratio > limit:
            raise ValueError(
                f"ratio[{call}] is {ratio}, but with {name} {cell} at most {limit:g} of the tokens "
                f"can go; lower the ratio or raise the {name}"
            )
