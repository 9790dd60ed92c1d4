"""Settings of models that were distilled to draw in a few steps, by the way they were distilled.

The solvers are those of the methods' own publications. Each is set up by the settings of the
pipeline's solver, see `accel.solvers.schedulers`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from strategies import StrategyError
from strategies.words import did_you_mean


class Few(NamedTuple):
    """Settings of a kind of few-step model.

    Attributes:
        scheduler: solver.
        steps: usual number of steps.
        guidance: guidance scale; no more than 1 switches guidance off.
        about: kind in words.
    """

    scheduler: str
    steps: int
    guidance: float
    about: str


TRAILING = "(spacing=trailing)"
KINDS = {
    "lcm": Few("LCMScheduler", 4, 1.0, "latent consistency, as a model or a LoRA"),
    "tcd": Few("TCDScheduler", 4, 1.0, "trajectory consistency, Hyper-SD for any steps"),
    "lightning": Few(f"EulerDiscreteScheduler{TRAILING}", 4, 1.0, "Lightning"),
    "hyper-sd": Few(f"DDIMScheduler{TRAILING}", 4, 1.0, "Hyper-SD for fixed steps"),
    "turbo": Few(f"EulerAncestralDiscreteScheduler{TRAILING}", 1, 0.0, "SD and SDXL Turbo"),
    "schnell": Few("FlowMatchEulerDiscreteScheduler", 4, 0.0, "FLUX.1-schnell, FLUX.2-klein"),
    "flow-lcm": Few("FlowMatchLCMScheduler", 4, 1.0, "latent consistency of flow models"),
}
MOST = 50


def few_step_settings(text: str) -> dict[str, Any]:
    """Solver, steps and guidance of a kind of few-step model.

    Args:
        text: `KIND` or `KIND:STEPS`.

    Raises:
        StrategyError: no such kind, or no number of steps.
    """
    kind, colon, number = text.partition(":")
    if kind not in KINDS:
        raise StrategyError(
            f"--few-steps {kind!r} is unknown; there are {', '.join(KINDS)}"
            f"{did_you_mean(kind, KINDS)}"
        )
    few = KINDS[kind]
    if colon and not (number.isascii() and number.isdigit() and 1 <= int(number) <= MOST):
        raise StrategyError(
            f"--few-steps {text}: {number!r} is no number of steps from 1 to {MOST}; give "
            f"{kind}:{few.steps}"
        )
    steps = int(number) if colon else few.steps
    return {"scheduler": few.scheduler, "steps": steps, "guidance": few.guidance}


def help_text() -> str:
    """Help of the flag."""
    kinds = "; ".join(f"{name}: {few.about}" for name, few in KINDS.items())
    return (
        "settings of a model that was distilled to few steps: its solver, its steps, and no "
        f"guidance ({kinds})"
    )
