"""Swapping a pipeline's solver for another on the same noise schedule."""

from __future__ import annotations

from typing import Any

import diffusers

from strategies import StrategyError

# PNDM's Runge-Kutta warm-up multiplies the calls; Stable Diffusion has always skipped it.
_EXTRA: dict[str, dict[str, Any]] = {"PNDMScheduler": {"skip_prk_steps": True}}


def make(current: Any, name: str) -> Any:
    """A scheduler of class `name` with the configuration of `current`.

    Raises:
        StrategyError: diffusers has no such scheduler, or it cannot take this configuration.
    """
    kind = getattr(diffusers, name, None)
    if kind is None or not name.endswith("Scheduler") or not hasattr(kind, "from_config"):
        raise StrategyError(
            f"scheduler is {name!r}, which diffusers {diffusers.__version__} does not have; use "
            "a class name such as DDIMScheduler or DPMSolverMultistepScheduler"
        )
    try:
        return kind.from_config(current.config, **_EXTRA.get(name, {}))
    except (TypeError, ValueError, NotImplementedError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise StrategyError(f"{name} cannot be used here: {reason}") from None


def count_calls(current: Any, name: str, steps: int) -> int:
    """How many calls of the denoiser `steps` steps of a solver make: 51 for 50 PNDM steps.

    Raises:
        StrategyError: no such scheduler, or it refuses that many steps.
    """
    scheduler = make(current, name)
    check_steps(scheduler, steps)
    # FLUX shifts its times by the number of tokens, which does not change how many there are.
    shift = {"mu": 1.0} if scheduler.config.get("use_dynamic_shifting") else {}
    try:
        scheduler.set_timesteps(steps, **shift)
    except (ValueError, IndexError, RuntimeError, TypeError, AttributeError) as error:
        raise StrategyError(f"{name} cannot make {steps} steps: {error}") from None
    return len(scheduler.timesteps)


def check_steps(scheduler: Any, steps: int) -> None:
    """See that the model was trained on as many timesteps as a run asks for.

    Raises:
        StrategyError: it was trained on fewer; more steps would draw some of them twice.
    """
    trained = scheduler.config.get("num_train_timesteps")
    if trained is not None and steps > trained:
        raise StrategyError(
            f"{type(scheduler).__name__} cannot make {steps} steps: the model was trained on "
            f"{trained} timesteps; give at most {trained} steps"
        )
