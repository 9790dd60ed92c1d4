"""Knobs of T-GATE (Zhang et al., "Faster Diffusion through Temporal Attention Decomposition")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import Field, StrictBool, StrictInt

from strategies.halves import caught_up
from strategies.knobs import Depth, Knobs, register
from strategies.schedules import check_calls, happens, remap_events


@dataclass(frozen=True)
class CallPlan:
    """Plan of one call: which attention outputs it reuses, and whether guidance is over."""

    reuse_self: bool
    reuse_cross: bool
    single: bool


@register
class TGate(Knobs):
    """Reuse of attention outputs, and no guidance after the gate."""

    method: ClassVar[str] = "tgate"
    paper: ClassVar[str] = "T-GATE, arXiv 2404.02747"
    families: ClassVar[tuple[str, ...]] = ("unet", "dit")
    per_call: ClassVar[tuple[str, ...]] = ()
    neutral: ClassVar[dict[str, Any]] = {}
    call_index_knobs: ClassVar[Mapping[str, int]] = {"gate": 1, "warmup": 0}
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "gate": (None, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8),
        "self_interval": (1, 2, 3, 5),
        "cross_interval": (1, 2, 5),
        "late_interval": (1, 2, 5),
    }
    shown_values: ClassVar[tuple[str, ...]] = ("self", "cross", "single")

    gate: StrictInt | None = Field(
        default=None,
        ge=1,
        description="first call that reuses the cross-attention outputs of the call before it, "
        "averaged over guidance, and runs without guidance; none: no gate",
    )
    self_interval: StrictInt = Field(
        default=1,
        ge=1,
        description="before the gate, self-attention is computed at multiples of this only",
    )
    cross_interval: StrictInt = Field(
        default=1, ge=1, description="the same for cross-attention (1 in the paper)"
    )
    late_interval: StrictInt = Field(
        default=1, ge=1, description="after the gate, the same for self-attention"
    )
    warmup: StrictInt = Field(
        default=2, ge=0, description="last call up to which everything is computed"
    )
    drop_guidance: StrictBool = Field(
        default=True,
        description="without guidance after the gate; false keeps both halves, each with its own "
        "cross-attention outputs",
    )

    also: tuple[StrictInt, ...] = Field(
        default=(),
        description="further calls at which self-attention is computed, and before the gate "
        "cross-attention too, whatever the intervals say",
    )

    def model_post_init(self, context: object) -> None:
        check_calls(self.also, None, "also")

    @classmethod
    def starts(cls, calls: int) -> list[Self]:
        """The paper's gate, 10 of 25 steps, and later gates for fewer steps.

        The paper's gate also comes with the published code's interval of 5 before it.
        """
        shares = dict.fromkeys(max(1, round(share * calls)) for share in (0.4, 0.6, 0.8))
        gates = [gate for gate in shares if gate < calls]
        both = [cls(gate=gate, self_interval=5) for gate in gates[:1]]
        return [*both, *(cls(gate=gate) for gate in gates)]

    def is_neutral(self) -> bool:
        return self.gate is None and self.self_interval == self.cross_interval == 1

    def check(self, calls: int) -> None:
        check_calls(self.also, calls, "also")
        if self.gate is not None and self.gate >= calls:
            raise ValueError(
                f"gate is {self.gate}, but the strategy makes {calls} calls; give a call from 1 to "
                f"{calls - 1}, or null for no gate"
            )

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> TGate:
        if not any(self.at(call) for call in range(calls)):
            return TGate()
        update: dict[str, Any] = {}
        if self.gate is None:
            update = {"late_interval": 1, "drop_guidance": True}
        if self.self_interval == self.cross_interval == 1:
            update["warmup"] = 2
        bare = self.model_copy(update={"also": ()})
        update["also"] = tuple(c for c in self.also if bare.plan(c) != self.plan(c))
        return self.model_copy(update=update)

    def take(self, indices: list[int]) -> TGate:
        def moved(call: int) -> int:
            return sum(i < call for i in indices)

        gate = None if self.gate is None else max(1, moved(self.gate))
        gate = None if gate is not None and gate >= len(indices) else gate
        warmup = max(0, moved(self.warmup + 1) - 1)
        also = remap_events(self.also, indices)
        return self.model_copy(update={"gate": gate, "warmup": warmup, "also": also})

    def caught_up(self, both: tuple[bool, ...]) -> TGate:
        plans = [self.plan(call) for call in range(len(both))]
        own = [not plan.reuse_self for plan in plans]
        cross = [not plan.reuse_cross for plan in plans]
        made = zip(caught_up(own, both), own, caught_up(cross, both), cross, strict=True)
        also = {
            call
            for call, (now, before, crossed, crossed_before) in enumerate(made)
            if now != before or (crossed != crossed_before and not self.gated(call))
        }
        return self.model_copy(update={"also": tuple(sorted(also | set(self.also)))})

    def shortened(self, whole: tuple[bool, ...]) -> TGate:
        return self.caught_up(whole)

    def gated(self, call: int) -> bool:
        """Whether a call is after the gate."""
        return self.gate is not None and call >= self.gate

    def compact(self) -> dict[str, Any]:
        data = super().compact()
        if not self.also:
            del data["also"]  # Older versions wrote files without it.
        return data

    def plan(self, call: int) -> CallPlan:
        """Plan of a call, given that results to reuse exist."""
        gate = self.gate
        if gate is not None and call >= gate:
            own = call % self.late_interval != 0 and not happens(self.also, call)
            return CallPlan(own, True, self.drop_guidance)
        fresh = call <= self.warmup or happens(self.also, call)
        fresh = fresh or (gate is not None and call == gate - 1)
        return CallPlan(
            not fresh and call % self.self_interval != 0,
            not fresh and call % self.cross_interval != 0,
            False,
        )

    def at(self, call: int) -> Mapping[str, Any]:
        plan = self.plan(call)
        shown = {"self": plan.reuse_self, "cross": plan.reuse_cross, "single": plan.single}
        return {name: value for name, value in shown.items() if value}
