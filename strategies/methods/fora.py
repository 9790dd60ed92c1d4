"""Knobs of FORA (Selvaraju et al., "Fast-Forward Caching", arXiv 2407.01425)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StrictBool

from strategies.errors import StrategyError
from strategies.knobs import Depth, Knobs, register

COMPONENTS = ("attn", "cross", "mlp")


@register
class FORA(Knobs):
    """Reuse of the outputs of attentions and feed-forwards, the same in all blocks."""

    method: ClassVar[str] = "fora"
    paper: ClassVar[str] = "FORA, arXiv 2407.01425; per component, extrapolation as in TaylorSeer"
    families: ClassVar[tuple[str, ...]] = ("dit", "mmdit")
    per_call: ClassVar[tuple[str, ...]] = ("attn", "cross", "mlp", "order")
    neutral: ClassVar[dict[str, Any]] = {"attn": True, "cross": True, "mlp": True, "order": 0}
    costless: ClassVar[tuple[str, ...]] = ("order",)

    attn: tuple[StrictBool, ...] = Field(
        default=(True,), description="whether self-attention is computed; else its output is reused"
    )
    cross: tuple[StrictBool, ...] = Field(
        default=(True,), description="the same for cross-attention, where there is one"
    )
    mlp: tuple[StrictBool, ...] = Field(default=(True,), description="the same for feed-forwards")
    order: tuple[Annotated[int, Field(ge=0, le=2, strict=True)], ...] = Field(
        default=(0,),
        description="what stands in for an output: 0 the last one computed, 1 or 2 its linear or "
        "quadratic extrapolation over the calls; limited by how many there are so far",
    )

    @classmethod
    def published(cls, calls: int, interval: int, order: int = 0) -> Self:
        """FORA's rule: the first call, and every call whose number from the end, counted from 0, is
        a multiple of `interval`, so that the last call is always full.

        Raises:
            StrategyError: no positive interval.
        """
        if interval < 1:
            raise StrategyError(f"interval is {interval}; give a whole number from 1 up")
        full = tuple(call == 0 or (calls - 1 - call) % interval == 0 for call in range(calls))
        return cls(attn=full, cross=full, mlp=full, order=(order,) * calls)

    def is_neutral(self) -> bool:
        return all(all(getattr(self, name)) for name in COMPONENTS)

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> FORA:
        lists = {name: (True, *getattr(self, name)[1:]) for name in COMPONENTS}
        order = []
        for call in range(calls):
            known = [sum(row[:call]) for row in lists.values() if not row[call]]
            order.append(min(self.order[call], max(known) - 1) if known else 0)
        return FORA(**lists, order=tuple(order))
