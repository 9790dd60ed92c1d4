"""Settings of a solver that decide its steps, and the solvers that take them.

A setting that a strategy leaves out stays as the pipeline's own solver has it. The table lists the
parameters of diffusers' classes. `accel.solvers.schedulers` sets them, and a test keeps the two
equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, field_validator

from strategies.data_files.limits import MAX_STEPS
from strategies.errors import StrategyError
from strategies.text import brief
from strategies.words import explain

Spacing = Literal["leading", "linspace", "trailing"]
Spread = Literal["karras", "exponential", "beta"]
Final = Literal["zero", "sigma_min"]
SPACINGS, SPREADS, FINALS = get_args(Spacing), get_args(Spread), get_args(Final)


@dataclass(frozen=True)
class Takes:
    """Settings that one solver takes.

    Attributes:
        spacing: spacings of the timesteps.
        spreads: distributions of the noise levels that replace those of the timesteps.
        listed: whether noise levels may be a list.
        orders: numbers of the last predictions that a step may be made from.
        final: noise levels at which the last step may end.
    """

    spacing: tuple[str, ...] = SPACINGS
    spreads: tuple[str, ...] = ()
    listed: bool = False
    orders: tuple[int, ...] = ()
    final: tuple[str, ...] = ()


_PLAIN = Takes()
_SPREAD = Takes(spreads=SPREADS)
_FLOW = Takes(spacing=(), spreads=SPREADS, listed=True)
TABLE: Mapping[str, Takes] = {
    "DDIMScheduler": _PLAIN,
    "DDIMParallelScheduler": _PLAIN,
    "DDPMScheduler": _PLAIN,
    "DDPMParallelScheduler": _PLAIN,
    "DEISMultistepScheduler": Takes(spreads=SPREADS, orders=(1, 2, 3)),
    "DPMSolverMultistepScheduler": Takes(spreads=SPREADS, orders=(1, 2, 3), final=FINALS),
    "DPMSolverSinglestepScheduler": Takes(
        spacing=(), spreads=SPREADS, orders=(1, 2, 3), final=FINALS
    ),
    "DPMSolverSDEScheduler": _SPREAD,
    "EulerAncestralDiscreteScheduler": _PLAIN,
    "EulerDiscreteScheduler": Takes(spreads=SPREADS, listed=True, final=FINALS),
    "FlowMatchEulerDiscreteScheduler": _FLOW,
    "FlowMatchHeunDiscreteScheduler": Takes(spacing=()),
    "FlowMatchLCMScheduler": _FLOW,
    "HeunDiscreteScheduler": _SPREAD,
    "KDPM2AncestralDiscreteScheduler": _SPREAD,
    "KDPM2DiscreteScheduler": _SPREAD,
    "LCMScheduler": Takes(spacing=()),
    "LMSDiscreteScheduler": _SPREAD,
    "PNDMScheduler": _PLAIN,
    "SASolverScheduler": _SPREAD,
    "TCDScheduler": Takes(spacing=()),
    "UniPCMultistepScheduler": Takes(spreads=SPREADS, orders=(1, 2, 3), final=FINALS),
}


class SolverSettings(BaseModel):
    """Settings of a strategy's solver; None leaves one as the pipeline's solver has it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    spacing: Spacing | None = Field(default=None, description="spacing of the timesteps")
    sigmas: Spread | tuple[float, ...] | None = Field(
        default=None,
        description="noise levels: by a rule, or a falling list of one for each step",
    )
    order: StrictInt | None = Field(
        default=None, description="number of last predictions that a step is made from"
    )
    final: Final | None = Field(default=None, description="noise level that the last step ends at")

    @field_validator("sigmas", mode="before")
    @classmethod
    def _rule_or_list(cls, value: Any) -> Any:
        numbers = isinstance(value, list | tuple) and all(
            isinstance(one, int | float) and not isinstance(one, bool) for one in value
        )
        if value is None or numbers or (isinstance(value, str) and value in SPREADS):
            return value
        raise ValueError(
            f"sigmas is {brief(value)}; give {', '.join(SPREADS)}, or a list of falling numbers"
        )

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Check settings in their JSON form.

        Raises:
            StrategyError: a setting is refused; names it, what was given and what is allowed.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise StrategyError(explain(error, "solver.")) from None

    def given(self) -> dict[str, Any]:
        """Settings that are not None, in JSON form."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def text(self) -> str:
        """Short form: `(spacing=trailing, order=3)`, or empty."""
        words = []
        for name, value in self.given().items():
            shown = "/".join(f"{one:g}" for one in value) if isinstance(value, list) else value
            words.append(f"{name}={shown}")
        return f"({', '.join(words)})" if words else ""

    def check(self, scheduler: str, steps: int) -> None:
        """Check that a solver takes these settings.

        Raises:
            StrategyError: a setting is refused; names it, what was given and what is allowed.
        """
        takes = TABLE.get(scheduler)
        if takes is None or not self.given():
            return
        listed = isinstance(self.sigmas, tuple)
        allowed: dict[str, Sequence[Any]] = {
            "spacing": takes.spacing, "order": takes.orders, "final": takes.final,
            "sigmas": (*takes.spreads, *(["a list"] if takes.listed else [])),
        }  # fmt: skip
        for name in self.given():
            value = "a list" if name == "sigmas" and listed else getattr(self, name)
            if value not in allowed[name]:
                there = ", ".join(map(str, allowed[name]))
                raise StrategyError(
                    f"solver.{name} is {brief(value)}, but {scheduler} "
                    + (f"takes {there}" if there else f"has no {name}; leave it out")
                )
        if isinstance(self.sigmas, tuple):
            _check_list(self.sigmas, steps)

    def resampled(self, steps: int) -> SolverSettings:
        """Settings for another number of steps: a list is read at the same shares of its length."""
        if not isinstance(self.sigmas, tuple) or len(self.sigmas) == steps:
            return self
        ends = (*self.sigmas, 0.0)
        found = []
        for step in range(steps):
            place = step * len(self.sigmas) / steps
            low = int(place)
            value = ends[low] + (place - low) * (ends[low + 1] - ends[low])
            found.append(round(value, 6))
        return self.model_copy(update={"sigmas": tuple(found)})


def _check_list(sigmas: Sequence[float], steps: int) -> None:
    if len(sigmas) != steps:
        raise StrategyError(
            f"solver.sigmas has {len(sigmas)} values, but the strategy makes {steps} steps; give "
            f"{steps} values"
        )
    for before, now in zip((float("inf"), *sigmas), sigmas, strict=False):
        if not 0 < now < before:
            raise StrategyError(
                f"solver.sigmas has {now:g} after {before:g}; give falling values above 0"
            )


NONE = SolverSettings()
_FORM = re.compile(r"(?P<name>[^()\s]+)\((?P<words>[^()]*)\)")


def split_solver(text: str) -> tuple[str, dict[str, Any]]:
    """Class name of a solver and the settings in its short form, which spaces have.

    Raises:
        StrategyError: not of the form `DDIMScheduler(spacing=trailing)`.
    """
    if len(text) > 40 * MAX_STEPS or "(" not in text:
        return text, {}
    found = _FORM.fullmatch(text)
    pairs = [word.split("=") for word in found["words"].split(",")] if found else []
    if found is None or not all(len(pair) == 2 for pair in pairs):
        raise StrategyError(
            f"scheduler is {brief(text)}; give a class name, or one with settings such as "
            "DDIMScheduler(spacing=trailing)"
        )
    return found["name"], {name.strip(): _value(value.strip()) for name, value in pairs}


def split_up(scheduler: Any, solver: Any) -> dict[str, Any]:
    """Fields of a strategy whose scheduler is given in the short form; empty for any other.

    Raises:
        StrategyError: not of that form, or settings in both places.
    """
    if not isinstance(scheduler, str) or "(" not in scheduler:
        return {}
    name, settings = split_solver(scheduler)
    if solver and settings:
        raise StrategyError(
            f"scheduler is {brief(scheduler)}, and solver is given too; give the settings in one "
            "of them"
        )
    return {"scheduler": name, "solver": settings}


def _value(text: str) -> Any:
    try:
        if "/" in text:
            return [float(one) for one in text.split("/")]
        return int(text)
    except ValueError:
        return text


def name_of(solver: str) -> str:
    """Class name in a solver's short form."""
    return solver.partition("(")[0]
