"""Steps of a first-order solver as numbers, so that one can be made from any state.

A deterministic solver of order 1 moves to `keep * state + move * prediction`, with two numbers for
each call. They are found by stepping a copy of the pipeline's scheduler from states of one value.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from torch import Tensor

from strategies import StrategyError

ALLOWED = (
    "DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, and "
    "DPMSolverMultistepScheduler(order=1)"
)
_NAMES = (
    "DDIMScheduler",
    "EulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler",
    "DPMSolverMultistepScheduler",
)
_REFUSED = ("clip_sample", "thresholding", "stochastic_sampling", "rescale_betas_zero_snr")
_EXACT = 1e-4  # Largest departure from a linear step, for numbers of about 1.


@dataclass(frozen=True)
class LinearSteps:
    """Numbers of every call of a schedule.

    Attributes:
        times: the schedule's timesteps.
        keep, move: factors of the state and of the prediction.
        scale: factor from a state to the network's input.
        noise: variance of the noise that a step of the ancestral solver would add.
    """

    times: tuple[float, ...]
    keep: tuple[float, ...]
    move: tuple[float, ...]
    scale: tuple[float, ...]
    noise: tuple[float, ...]


def check_linear(scheduler: Any) -> None:
    """Refuse a solver whose steps depend on more than the state and one prediction.

    Raises:
        StrategyError: it does; names what is allowed.
    """
    name, config = type(scheduler).__name__, scheduler.config
    reason = ""
    if name not in _NAMES:
        reason = f"{name} is none of them"
    elif config.get("solver_order", 1) != 1:
        reason = f"this {name} has order {config.solver_order}"
    elif "sde" in str(config.get("algorithm_type")):
        reason = f"this {name} has algorithm_type={config.algorithm_type}"
    else:
        found = next((word for word in _REFUSED if config.get(word)), None)
        reason = f"this {name} has {found}=True" if found else ""
    if reason:
        raise StrategyError(
            f"methods.paradigms needs a deterministic solver of order 1, {ALLOWED}; {reason}"
        )


def schedule_numbers(scheduler: Any) -> LinearSteps:
    """Numbers of the schedule that a scheduler is set to. Waits for the device.

    Raises:
        StrategyError: the scheduler's steps are not linear.
    """
    check_linear(scheduler)
    times = scheduler.timesteps.cpu()
    probe = copy.deepcopy(scheduler)
    probe.__class__ = getattr(diffusers, type(scheduler).__name__)  # Without the images' noise.
    probe.timesteps = times
    rows = [_step(probe, call, time) for call, time in enumerate(times)]
    scales = [_scale(probe, call, time) for call, time in enumerate(times)]
    return LinearSteps(
        tuple(times.tolist()),
        tuple(row[0] for row in rows),
        tuple(row[1] for row in rows),
        tuple(scales),
        tuple(_variances(scheduler, times)),
    )


def _reset(probe: Any, call: int) -> None:
    if hasattr(probe, "_step_index"):
        probe._step_index = call
    if hasattr(probe, "model_outputs"):
        probe.model_outputs, probe.lower_order_nums = [None] * len(probe.model_outputs), 0
    probe.is_scale_input_called = True


def _step(probe: Any, call: int, time: Tensor) -> tuple[float, float]:
    """Factors of the state and of the prediction."""
    _reset(probe, call)
    state, predicted = torch.tensor([1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 1.0])
    moved = probe.step(predicted, time, state, return_dict=False)[0]
    keep, move, both = (float(one) for one in moved)
    if abs(keep + move - both) > _EXACT * max(1.0, abs(keep), abs(move)):
        raise StrategyError(
            f"methods.paradigms needs linear steps, and those of this {type(probe).__name__} are "
            "not; take methods.paradigms out of the strategy"
        )
    return keep, move


def _scale(probe: Any, call: int, time: Tensor) -> float:
    if not hasattr(probe, "scale_model_input"):
        return 1.0
    _reset(probe, call)
    return float(probe.scale_model_input(torch.ones(1), time))


def _variances(scheduler: Any, times: Tensor) -> list[float]:
    """Variance of the next state of each call, given this one and the clean image."""
    levels = _levels(scheduler, times)
    found = []
    for (signal, noise), (next_signal, next_noise) in itertools.pairwise(levels):
        left = noise**2 - (signal / next_signal * next_noise) ** 2
        found.append(max(0.0, next_noise**2 * left / noise**2) if noise else 0.0)
    return found


def _levels(scheduler: Any, times: Tensor) -> list[tuple[float, float]]:
    """Shares of image and noise in the state before each call, and after the last one."""
    name = type(scheduler).__name__
    if name == "DDIMScheduler":
        gap = scheduler.config.num_train_timesteps // scheduler.num_inference_steps
        kept = scheduler.alphas_cumprod.cpu()
        last = int(times[-1]) - gap
        ends = [*(float(kept[int(time)]) for time in times)]
        ends.append(float(kept[last] if last >= 0 else scheduler.final_alpha_cumprod))
        return [(one**0.5, (1 - one) ** 0.5) for one in ends]
    sigmas = [float(one) for one in scheduler.sigmas.cpu()]
    if name == "EulerDiscreteScheduler":
        return [(1.0, sigma) for sigma in sigmas]
    if name == "FlowMatchEulerDiscreteScheduler" or scheduler.config.get("use_flow_sigmas"):
        return [(max(1 - sigma, 1e-6), sigma) for sigma in sigmas]
    shares = [(1 + sigma**2) ** -0.5 for sigma in sigmas]
    return [(share, sigma * share) for share, sigma in zip(shares, sigmas, strict=True)]
