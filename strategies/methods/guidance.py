"""Knobs of guidance per call: whether the unconditional half runs, and how strongly it guides."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from strategies.knobs import Depth, Knobs, register
from strategies.methods.tgate import TGate
from strategies.schedules import nearest

Mode = Literal["full", "off", "reuse"]
Scale = Annotated[float, Field(ge=0, le=100, strict=True)]
THIRDS = ("early", "middle", "late")


@register
class Guidance(Knobs):
    """Classifier-free guidance at some calls only, from kept differences, or of another strength.

    `early`, `middle`, `late` and `fade` are a short form: in the normal form they are part of
    `scale` and `weight`.
    """

    method: ClassVar[str] = "guidance"
    paper: ClassVar[str] = (
        "Adaptive Guidance, arXiv 2312.12487; limited interval, arXiv 2404.07724; reuse as in "
        "FasterCache, arXiv 2410.19355, with a weight as in LinearAG, arXiv 2312.12487"
    )
    families: ClassVar[tuple[str, ...]] = ("unet", "dit", "mmdit", "transformer")
    per_call: ClassVar[tuple[str, ...]] = ("mode", "scale", "order", "weight")
    neutral: ClassVar[dict[str, Any]] = {"mode": "full", "scale": 1.0, "order": 0, "weight": 1.0}
    free_knobs: ClassVar[tuple[str, ...]] = ("scale", "order", "weight", *THIRDS, "fade")
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "mode": ("full", "off", "reuse"),
        "early": (1.0, 0.6, 1.4),
        "middle": (1.0, 0.6, 1.4),
        "late": (1.0, 0.6, 1.4),
        "fade": (1.0, 0.7, 0.4),
    }

    mode: tuple[Mode, ...] = Field(
        default=("full",),
        description='"full" runs both halves of guidance; "off" runs the half with the prompt '
        'alone, without guidance; "reuse" runs it alone and adds the difference of the two halves '
        "that was kept at the last full call",
    )
    scale: tuple[Scale, ...] = Field(
        default=(1.0,),
        description="strength of guidance, as a multiple of the pipeline's own; not read where the "
        "mode is off",
    )
    order: tuple[Annotated[int, Field(ge=0, le=1, strict=True)], ...] = Field(
        default=(0,),
        description="order of extrapolation of the difference at a reusing call: 0 the last one "
        "kept, 1 its linear extrapolation over the calls from the last two",
    )
    weight: tuple[Annotated[float, Field(ge=0, le=1, strict=True)], ...] = Field(
        default=(1.0,),
        description="factor on the kept difference at a reusing call; 0 is the same as off",
    )
    early: Scale = Field(
        default=1.0, description="a factor on the scale in the first third of the calls"
    )
    middle: Scale = Field(default=1.0, description="the same in the second third")
    late: Scale = Field(default=1.0, description="the same in the last third")
    fade: Annotated[float, Field(ge=0, le=1, strict=True)] = Field(
        default=1.0,
        description="a factor on the weight for each call since the difference was computed",
    )

    @classmethod
    def interval(cls, calls: int, first: float, last: float, scale: float = 1.0) -> Self:
        """Guidance in an interval of the generation alone (arXiv 2404.07724).

        Args:
            calls: number of calls of the generation.
            first, last: shares of the calls between which both halves run.
            scale: factor on the guidance strength inside the interval.
        """
        inside = range(round(first * calls), max(round(first * calls) + 1, round(last * calls)))
        return cls(
            mode=tuple("full" if call in inside else "off" for call in range(calls)),
            scale=(scale,) * calls,
        )

    @classmethod
    def gate(cls, calls: int, share: float, then: Mode = "off") -> Self:
        """Guidance up to a share of the calls (Adaptive Guidance, arXiv 2312.12487, section 5)."""
        count = max(1, round(share * calls))
        return cls(mode=tuple("full" if call < count else then for call in range(calls)))

    @classmethod
    def every(cls, calls: int, interval: int, then: Mode = "off") -> Self:
        """Guidance at every `interval`-th call, from the first on."""
        return cls(mode=tuple("full" if c % interval == 0 else then for c in range(calls)))

    @classmethod
    def starts(cls, calls: int) -> list[Self]:
        """Limited intervals, gates, and every other call."""
        made = [cls.gate(calls, share) for share in (0.4, 0.6, 0.8)]
        made += [cls.interval(calls, *ends) for ends in ((0.2, 0.8), (0.3, 0.6))]
        made += [cls.every(calls, 2), cls.every(calls, 2, "reuse"), cls.gate(calls, 0.5, "reuse")]
        return [cls(mode=mode) for mode in dict.fromkeys(one.mode for one in made)]

    @classmethod
    def sound(cls, knob: str, values: Sequence[Any]) -> list[Any]:
        return kept(values) if knob == "mode" else list(values)

    def check(self, calls: int) -> None:
        for call, mode in enumerate(kept(self.mode)):
            if mode != self.mode[call]:
                raise ValueError(
                    f'mode[{call}] is "reuse", but no call before it is "full", so that no '
                    'difference was kept; make an earlier call "full" or this one "off"'
                )

    def is_neutral(self) -> bool:
        alike = all(mode == "full" for mode in self.mode)
        return alike and all(scale == 1 for scale in (*self.scale, *self._thirds()))

    def both(self, calls: int) -> tuple[bool, ...]:
        return tuple(mode == "full" for mode in self.mode)

    def beside(self, methods: Mapping[str, Knobs], calls: int) -> Guidance:
        gated: TGate | None = methods.get("tgate")  # type: ignore[assignment]
        if gated is None or gated.gate is None or gated.gate >= calls:
            return self
        merged = self._merged(calls)
        mode, scale = list(merged.mode), list(merged.scale)
        mode[gated.gate - 1] = "full"  # T-GATE averages over both halves there.
        if gated.drop_guidance:
            mode[gated.gate :] = ["full"] * (calls - gated.gate)
            scale[gated.gate :] = [1.0] * (calls - gated.gate)
        return merged.model_copy(update={"mode": tuple(mode), "scale": tuple(scale)})

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> Guidance:
        merged, full = self._merged(calls), 0
        found: list[tuple[Mode, float, int, float]] = []
        rows = zip(merged.mode, merged.scale, merged.order, merged.weight, strict=True)
        for mode, scale, order, weight in rows:
            if mode == "off" or (mode == "reuse" and weight == 0):
                found.append(("off", 1.0, 0, 1.0))
            elif mode == "reuse":
                found.append((mode, scale, min(order, max(0, full - 1)), weight))
            else:
                found.append((mode, scale, 0, 1.0))
            full += mode == "full"
        lists = zip(self.per_call, zip(*found, strict=True), strict=True)
        return merged.model_copy(update=dict(lists))

    def compact(self) -> dict[str, Any]:
        """JSON form. Weights are left out where they have no effect, as in files of version 0.1."""
        data = super().compact()
        for name in ("weight", "fade"):
            if data[name] == 1.0:
                del data[name]
        return data

    def take(self, indices: list[int]) -> Guidance:
        merged = self._merged(len(self.mode))
        return merged._moved([merged.mode[i] for i in indices], indices)

    def _moved(self, modes: Sequence[Mode], indices: Sequence[int]) -> Guidance:
        """Knobs with these modes, whose other values are those of the calls `indices`."""
        return Guidance(
            mode=tuple(kept(modes)),
            scale=tuple(self.scale[i] for i in indices),
            order=tuple(self.order[i] for i in indices),
            weight=tuple(self.weight[i] for i in indices),
        )

    def resample(self, indices: list[int]) -> Guidance:
        """Knobs with the same share of full calls, as dense in time; everything else goes by
        time.
        """
        old, new = len(self.mode), len(indices)
        full = [call for call, mode in enumerate(self.mode) if mode == "full"]
        rest = [call for call, mode in enumerate(self.mode) if mode != "full"]
        chosen = resampled_calls(full, old, new)
        moved = [nearest(full if c in chosen else rest, at) for c, at in enumerate(indices)]
        by_time = [at if found is None else found for found, at in zip(moved, indices, strict=True)]
        return self._merged(old)._moved([self.mode[at] for at in by_time], by_time)

    def at(self, call: int) -> Mapping[str, Any]:
        now = {name: getattr(self, name)[call] for name in self.per_call}
        return {name: value for name, value in now.items() if value != self.neutral[name]}

    def cost(self, call: int) -> Mapping[str, Any]:
        """Part of `at` that decides how long the call takes: whether one half runs alone."""
        return {} if self.mode[call] == "full" else {"half": True}

    def _thirds(self) -> tuple[float, float, float]:
        return self.early, self.middle, self.late

    def _merged(self, calls: int) -> Guidance:
        """Knobs with the factors of the thirds merged into `scale`, and `fade` into `weight`."""
        changed: dict[str, Any] = {}
        if self._thirds() != (1.0, 1.0, 1.0):
            factors = self._thirds()
            changed["scale"] = tuple(
                round(scale * factors[3 * call // calls], 6)
                for call, scale in enumerate(self.scale)
            )
            changed |= dict.fromkeys(THIRDS, 1.0)
        if self.fade != 1:
            changed |= {"weight": tuple(self._faded()), "fade": 1.0}
        return self.model_copy(update=changed) if changed else self

    def _faded(self) -> list[float]:
        """Weights, times the fade to the power of the calls since the last full one."""
        found, age = [], 0
        for mode, weight in zip(self.mode, self.weight, strict=True):
            age = 0 if mode == "full" else age + 1
            found.append(round(weight * self.fade**age, 4) if mode == "reuse" else weight)
        return found


def resampled_calls(calls: Sequence[int], old: int, new: int) -> set[int]:
    """Calls of a generation of `old` calls in one of `new`: as many in each part of its time."""
    found, before, chosen = set[int](), 0, set(calls)
    for call in range(new):
        # Old calls that are over when this one is, in units of `1 / new`, and of the next a part.
        whole, part = divmod((call + 1) * old, new)
        passed = bisect_left(calls, whole) * new + (part if whole in chosen else 0)
        count = (2 * passed + old) // (2 * old)  # To the nearest, halves up.
        if count > before:
            found.add(call)
        before = count
    if calls and not found:
        found.add(min(new - 1, calls[0] * new // old))
    return found


def kept(modes: Sequence[Any]) -> list[Any]:
    """Modes with full calls in place of those that reuse a difference before there is one."""
    found: list[Any] = []
    nothing = True
    for mode in modes:
        found.append("full" if mode == "reuse" and nothing else mode)
        nothing = nothing and found[-1] != "full"
    return found
