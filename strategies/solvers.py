"""How many calls of the denoiser a number of steps makes, by solver, without torch.

`accel.schedulers.count_calls` asks the solver itself; a test holds this table against it.
"""

from __future__ import annotations

ONE_EACH = frozenset(
    f"{name}Scheduler"
    for name in (
        "DDIM",
        "DDPM",
        "DEISMultistep",
        "DPMSolverMultistep",
        "DPMSolverSinglestep",
        "EulerAncestralDiscrete",
        "EulerDiscrete",
        "FlowMatchEulerDiscrete",
        "LCM",
        "LMSDiscrete",
        "UniPCMultistep",
    )
)
TWO_EACH = frozenset(
    f"{name}Scheduler"
    for name in ("FlowMatchHeunDiscrete", "HeunDiscrete", "KDPM2AncestralDiscrete", "KDPM2Discrete")
)


def calls_of(scheduler: str, steps: int) -> int | None:
    """Calls of a generation, or None of a solver that this table does not have.

    PNDM is as Stable Diffusion has it, without the Runge-Kutta warm-up: one call more than steps.
    """
    if scheduler in ONE_EACH:
        return steps
    if scheduler in TWO_EACH:
        return 2 * steps - 1
    return steps + 1 if scheduler == "PNDMScheduler" else None
