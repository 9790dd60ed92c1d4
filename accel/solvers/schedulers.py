"""Swapping a pipeline's solver for another that solves the same model.

Some settings of a solver describe the model: its noise schedule, the kind of its prediction,
whether its estimate is clipped. They are carried over from the pipeline's solver, even if they are
only that class's defaults, since the next class may have others. If the new solver cannot take one
of them, it is refused, since its images would silently differ. Settings that say how a solver
computes stay with its class. All other settings, such as the spacing of its times, are found as
diffusers' `from_config` finds them.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import diffusers
import torch

from accel.sites import Sites
from accel.solvers import solver_steps
from strategies import StrategyError
from strategies.solvers import DIFFUSION, EITHER, FLOW

# PNDM's Runge-Kutta warm-up multiplies the calls; Stable Diffusion has always skipped it.
_EXTRA: dict[str, dict[str, Any]] = {"PNDMScheduler": {"skip_prk_steps": True}}
_NOISE = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
_THRESHOLD = ("thresholding", "dynamic_thresholding_ratio", "sample_max_value")
_CLIP = ("clip_sample", "clip_sample_range")
_SPACING = ("timestep_spacing", "steps_offset")
# Settings of how a solver computes, whose names mean something else in other solvers.
_INNER = (
    "algorithm_type",
    "solver_type",
    "lower_order_final",
    "euler_at_final",
    "final_sigmas_type",
)
KNOWN = DIFFUSION | EITHER | FLOW
_SIGMAS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
Settings = dict[str, Any]


def make(current: Any, solver: str) -> Any:
    """A scheduler of a class for the model that `current` is set up for.

    Args:
        current: the pipeline's scheduler, set up right for its model.
        solver: a class of diffusers, with settings in the short form where it has them.

    Raises:
        StrategyError: diffusers has no such scheduler, or it does not fit the model.
    """
    name, own = solver_steps.read_solver(solver)
    if type(current).__name__ == name not in KNOWN and not own.given():
        return type(current).from_config(current.config)  # The model's own, whatever it is.
    kind = _class(name)
    flow = is_flow(current)
    takes = inspect.signature(kind.__init__).parameters
    settings = _flow_settings(current, takes) if flow else _diffusion_settings(current, takes)
    unfit = settings.pop("unfit", None)
    if name in (DIFFUSION if flow else FLOW):
        unfit = f"it is for {'diffusion' if flow else 'flow'} models"
    if unfit is not None:
        model = "flow" if flow else "diffusion"
        raise StrategyError(
            f"{name} does not fit this {model} model, whose solver is {type(current).__name__}: "
            f"{unfit}"
        )
    if type(current).__name__ != name:
        settings |= {key: takes[key].default for key in _INNER if key in takes}
    settings |= solver_steps.configured(own, name, flow)
    try:
        made = kind.from_config(current.config, **(_EXTRA.get(name, {}) | settings))
        _try(made)
    except (TypeError, ValueError, NotImplementedError, ImportError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise StrategyError(f"{name} cannot be used here: {reason}") from None
    solver_steps.take_listed_sigmas(made, own)
    return made


def _class(name: str) -> Any:
    kind = getattr(diffusers, name, None)
    if kind is None or not name.endswith("Scheduler") or not hasattr(kind, "from_config"):
        raise StrategyError(
            f"scheduler is {name!r}, which diffusers {diffusers.__version__} does not have; use "
            "a class name such as DDIMScheduler or DPMSolverMultistepScheduler"
        )
    if name not in KNOWN:
        raise StrategyError(
            f"scheduler is {name!r}, which no supported model generates images with; use "
            f"one of {', '.join(sorted(KNOWN))}"
        )
    return kind


def is_flow(scheduler: Any) -> bool:
    """Whether a solver is set up for a model that predicts a flow's velocity.

    Raises:
        StrategyError: some of its settings are for such a model and others are not.
    """
    taken = _taken(scheduler)
    config = {key: value for key, value in scheduler.config.items() if key in taken}
    sigmas, predicts = bool(config.get("use_flow_sigmas")), config.get("prediction_type")
    if sigmas != (predicts == "flow_prediction"):
        raise StrategyError(
            f"{type(scheduler).__name__} has use_flow_sigmas={sigmas} and prediction_type="
            f"{predicts!r}; flow models need use_flow_sigmas=True with "
            "prediction_type='flow_prediction', other models neither"
        )
    return sigmas or ("shift" in taken and "beta_start" not in taken)


def _taken(scheduler: Any) -> Mapping[str, Any]:
    return inspect.signature(type(scheduler).__init__).parameters


def _diffusion_settings(current: Any, takes: Mapping[str, Any]) -> Settings:
    """Settings of a diffusion model in `current`, for a class that `takes` these parameters.

    Contains `unfit` if the class does not fit the model.
    """
    own = {key: current.config[key] for key in _taken(current) if key in current.config}
    if "beta_start" not in own or own.get("timestep_type") == "continuous":
        return {"unfit": "the present solver has another noise schedule"}
    settings = {key: own[key] for key in (*_NOISE, "prediction_type") if key in own}
    if own.get("trained_betas") is not None and "trained_betas" not in takes:
        return {"unfit": "it does not take trained_betas"}
    if own.get("rescale_betas_zero_snr"):
        if "rescale_betas_zero_snr" not in takes:
            return {"unfit": "it does not take rescale_betas_zero_snr=True"}
        # With the wrong spacing such a model never sees pure noise.
        keys = ("rescale_betas_zero_snr", *_SPACING)
        settings |= {key: own[key] for key in keys if key in own and key in takes}
    if own.get("variance_type") in ("learned", "learned_range") and "variance_type" not in takes:
        return {"unfit": f"it does not take variance_type={own['variance_type']!r}"}
    for switch, group in (("thresholding", _THRESHOLD), ("clip_sample", _CLIP)):
        if own.get(switch):
            if switch not in takes:
                return {
                    "unfit": f"it does not take {switch}=True, which the present one has; if the "
                    f"model generates latents, give it a solver with {switch}=False"
                }
            settings |= {key: own[key] for key in group if key in own and key in takes}
        elif switch in takes:
            settings[switch] = False
    return settings


def _flow_settings(current: Any, takes: Mapping[str, Any]) -> Settings:
    """Settings of a flow model in `current`, for a class that `takes` these parameters.

    Contains `unfit` if the class does not fit the model.
    """
    own = {key: current.config[key] for key in _taken(current) if key in current.config}
    # FlowMatchEuler's may have been changed with `set_shift`.
    shift = own["flow_shift"] if "flow_shift" in own else getattr(current, "shift", own["shift"])
    settings: Settings = {"num_train_timesteps": own["num_train_timesteps"]}
    for key in ("use_dynamic_shifting", "shift_terminal", "invert_sigmas"):
        if key in takes:
            settings[key] = own.get(key)
        elif own.get(key):
            return {"unfit": f"it does not take {key}={own[key]!r}"}
    if own.get("use_dynamic_shifting"):
        settings["time_shift_type"] = own.get("time_shift_type", "exponential")
        if "flow_shift" in takes and settings["time_shift_type"] != "exponential":
            return {"unfit": f"it does not take time_shift_type={own['time_shift_type']!r}"}
    if "flow_shift" not in takes:
        return settings | {"shift": shift}
    flow = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": shift}
    # These come before flow sigmas there, and would undo them.
    return settings | flow | dict.fromkeys(_SIGMAS, False)


def _try(scheduler: Any) -> None:
    """Make two steps of two numbers: some solvers refuse a setting only then."""
    flow = is_flow(scheduler)
    shift = {"mu": 1.0} if scheduler.config.get("use_dynamic_shifting") else {}
    trial = copy.deepcopy(scheduler)  # Making another one takes KDPM2 half a second.
    trial.set_timesteps(4, **shift)
    learned = scheduler.config.get("variance_type") in ("learned", "learned_range")
    sample = torch.zeros(1, 1, 1, 2)
    output = torch.zeros(1, 2, 1, 2) if learned and not flow else sample
    with torch.random.fork_rng(devices=[]):
        for timestep in trial.timesteps[:2]:
            if not flow:
                sample = trial.scale_model_input(sample, timestep)
            sample = trial.step(output, timestep, sample).prev_sample


def check_scheduler(scheduler: Any, sites: Sites) -> None:
    """Refuse a solver that the network was not trained for, or that its pipelines cannot call.

    Raises:
        StrategyError: it does not fit.
    """
    name, network = type(scheduler).__name__, type(sites.denoiser).__name__
    if sites.flow is None:  # Only its pipeline knows.
        return
    flow = is_flow(scheduler)
    if sites.flow and not flow and "beta_start" in _taken(scheduler):
        raise StrategyError(
            f"{network} is a flow model, but the pipeline's {name} is set up for diffusion models; "
            f"use FlowMatchEulerDiscreteScheduler, or one of {', '.join(sorted(EITHER))} with "
            "use_flow_sigmas=True and prediction_type='flow_prediction'"
        )
    if flow and not sites.flow and not hasattr(scheduler, "scale_model_input"):
        raise StrategyError(
            f"{name} is for flow models, but pipelines with {network} need a solver of diffusion "
            "models, such as DDIMScheduler"
        )
    if sites.scaled_time:
        _check_flux(scheduler, name)


def _check_flux(scheduler: Any, name: str) -> None:
    """Refuse a solver that FLUX's pipelines cannot call: they pass `mu`, and sigmas of their own
    unless these are flow sigmas.
    """
    takes = inspect.signature(scheduler.set_timesteps).parameters
    own = scheduler.config.get("use_flow_sigmas")
    missing = [key for key in (("mu",) if own else ("mu", "sigmas")) if key not in takes]
    reason = f"it takes no {' and no '.join(missing)}" if missing else ""
    if not missing and own:
        try:
            type(scheduler).from_config(scheduler.config).set_timesteps(4, mu=1.0)
        except (AssertionError, ValueError):
            reason = "it takes no mu without use_dynamic_shifting=True"
    if reason:
        raise StrategyError(
            f"{name} cannot be called by FLUX's pipelines: {reason}; use "
            "FlowMatchEulerDiscreteScheduler"
        )


def count_calls(current: Any, name: str, steps: int) -> int:
    """Number of calls of the denoiser that `steps` steps of a solver make: 51 for 50 PNDM steps.

    Raises:
        StrategyError: no such scheduler, or it refuses that many steps.
    """
    return _counted(make(current, name), name, steps)


def count_each(current: Any, name: str, steps: Iterable[int]) -> dict[int, int]:
    """Number of calls for each number of steps, by `count_calls`; the scheduler is made once."""
    scheduler = make(current, name)
    return {one: _counted(scheduler, name, one) for one in steps}


def _counted(scheduler: Any, name: str, steps: int) -> int:
    check_steps(scheduler, steps)
    # FLUX shifts its times by the number of tokens, which does not change how many there are.
    shift = {"mu": 1.0} if scheduler.config.get("use_dynamic_shifting") else {}
    try:
        scheduler.set_timesteps(steps, **shift)
    except (ValueError, IndexError, RuntimeError, TypeError, AttributeError) as error:
        raise StrategyError(f"{name} cannot make {steps} steps: {error}") from None
    return len(scheduler.timesteps)


def check_steps(scheduler: Any, steps: int) -> None:
    """Check that the model was trained on as many timesteps as a run asks for.

    Raises:
        StrategyError: it was trained on fewer, so that some steps would occur twice.
    """
    trained = scheduler.config.get("num_train_timesteps")
    if trained is not None and steps > trained:
        raise StrategyError(
            f"{type(scheduler).__name__} cannot make {steps} steps: the model was trained on "
            f"{trained} timesteps; give at most {trained} steps"
        )
