"""Settings of a solver that decide its steps, on a scheduler of diffusers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accel.patching.layers import Forward
from accel.patching.replacing import replace_method
from strategies import StrategyError
from strategies.solver_settings import SPREADS, TABLE, SolverSettings, split_solver
from strategies.solvers import FLOW


def read_solver(solver: str) -> tuple[str, SolverSettings]:
    """Class name and settings of a solver in its short form.

    Raises:
        StrategyError: settings that the class does not take.
    """
    name, given = split_solver(solver)
    settings = SolverSettings.read(given)
    settings.check(name, len(settings.sigmas) if isinstance(settings.sigmas, tuple) else 1)
    return name, settings


def configured(settings: SolverSettings, name: str, flow: bool) -> dict[str, Any]:
    """The settings in the form of a scheduler's configuration.

    Args:
        settings: settings of the solver.
        name: class of the scheduler.
        flow: whether it is for a flow model.

    Raises:
        StrategyError: a flow's steps come from its own noise levels, which these replace.
    """
    found: dict[str, Any] = {}
    if flow and name not in FLOW:
        for word in ("spacing", "sigmas", "final"):
            if getattr(settings, word) is not None:
                raise StrategyError(
                    f"solver.{word} is {getattr(settings, word)}, but {name} on a flow model has "
                    f"the flow's own noise levels; leave it out"
                )
    if settings.spacing is not None:
        found["timestep_spacing"] = settings.spacing
    if settings.sigmas is not None:
        found |= {f"use_{rule}_sigmas": rule == settings.sigmas for rule in TABLE[name].spreads}
    if settings.order is not None:
        found["solver_order"] = settings.order
    if settings.final is not None:
        found["final_sigmas_type"] = settings.final
    return found


def has(scheduler: Any, settings: SolverSettings) -> bool:
    """Whether a scheduler has these settings; never true for a list of noise levels."""
    if isinstance(settings.sigmas, tuple):
        return False
    config = scheduler.config
    wanted: dict[str, Any] = {
        "timestep_spacing": settings.spacing,
        "solver_order": settings.order,
        "final_sigmas_type": settings.final,
    }
    if settings.sigmas is not None:
        wanted |= {f"use_{rule}_sigmas": rule == settings.sigmas for rule in SPREADS}
    return all(value is None or config.get(key, False) == value for key, value in wanted.items())


def take_listed_sigmas(scheduler: Any, settings: SolverSettings) -> None:
    """Let a scheduler take its noise levels from a list, for any number of steps."""
    if isinstance(settings.sigmas, tuple):
        # A flow's schedulers add the level that the last step ends at themselves.
        end = () if type(scheduler).__name__ in FLOW else (0.0,)
        replace_method(scheduler, "set_timesteps", _taking(settings.sigmas, end))


def _taking(sigmas: Sequence[float], end: Sequence[float]) -> Any:
    def make(original: Forward) -> Forward:
        def set_timesteps(
            num_inference_steps: int | None = None, device: Any = None, **given: Any
        ) -> Any:
            own = given.get("sigmas")
            asked = num_inference_steps if own is None else len(own)
            if asked != len(sigmas):
                raise StrategyError(
                    f"this run asks for {asked} steps, but the strategy's solver.sigmas has "
                    f"{len(sigmas)} values; pass num_inference_steps=strategy.steps, or apply "
                    "strategy.resample(steps=...)"
                )
            kept = {key: value for key, value in given.items() if key == "mu"}
            return original(sigmas=[*sigmas, *end], device=device, **kept)

        return set_timesteps

    return make
