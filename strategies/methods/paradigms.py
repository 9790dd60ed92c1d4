"""Knobs of ParaDiGMS (Shih et al., "Parallel Sampling of Diffusion Models", NeurIPS 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, StrictInt

from strategies.errors import StrategyError
from strategies.knobs import Depth, Knobs, register

# Methods that act on a call alone, and keep nothing for later ones.
ALONE = ("tome",)


@register
class ParaDiGMS(Knobs):
    """Several calls computed in one batch, from guesses that are corrected until they stand."""

    method: ClassVar[str] = "paradigms"
    paper: ClassVar[str] = "Parallel Sampling of Diffusion Models, arXiv 2305.16317"
    families: ClassVar[tuple[str, ...]] = ("unet", "dit", "mmdit", "transformer")
    per_call: ClassVar[tuple[str, ...]] = ()
    neutral: ClassVar[dict[str, Any]] = {}
    adaptive: ClassVar[bool] = True
    solvers: ClassVar[tuple[str, ...]] = (
        "DDIMScheduler",
        "EulerDiscreteScheduler",
        "FlowMatchEulerDiscreteScheduler",
        "DPMSolverMultistepScheduler(order=1)",
    )
    choices: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "window": (1, 2, 4, 8),
        "tolerance": (0.1, 0.03, 0.3),
    }
    shown_values: ClassVar[tuple[str, ...]] = ("window", "tolerance")

    window: StrictInt = Field(
        default=1, ge=1, le=64, description="calls that are computed in one batch; 1: one at a time"
    )
    tolerance: Annotated[float, Field(ge=0, le=100)] = Field(
        default=0.1,
        description="largest change of a guess that still counts as none: root mean square, in "
        "units of the noise that one step of the ancestral solver would add; 0: the images of "
        "single calls",
    )

    @classmethod
    def starts(cls, calls: int) -> list[Self]:
        """A window of each size that a search chooses from, with the default tolerance."""
        return [cls(window=window) for window in cls.choices["window"] if 1 < window <= calls]

    def is_neutral(self) -> bool:
        return self.window == 1

    def canonical(self, calls: int, depths: tuple[Depth, ...] | None) -> ParaDiGMS:
        if self.is_neutral() or calls == 1:
            return ParaDiGMS()
        return self.model_copy(update={"window": min(self.window, calls)})

    def check_beside(self, methods: Mapping[str, Knobs]) -> None:
        for name, knobs in methods.items():
            if name == self.method or self.is_neutral() or knobs.is_neutral():
                continue
            if name not in ALONE:
                raise StrategyError(
                    f"methods.paradigms computes several calls at once, and methods.{name} makes "
                    "each call from those before it; give one of them. With methods.paradigms "
                    f"goes {' and '.join(f'methods.{one}' for one in ALONE)}"
                )
            for knob in knobs.per_call:
                values = getattr(knobs, knob)
                if any(value != values[0] for value in values):
                    raise StrategyError(
                        f"methods.{name}.{knob} changes from call to call, but methods.paradigms "
                        "computes several calls at once; give one value for all calls"
                    )

    def at(self, call: int) -> Mapping[str, Any]:
        return {} if self.is_neutral() else {"window": self.window, "tolerance": self.tolerance}
