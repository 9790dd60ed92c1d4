"""Solvers that a strategy may name, and the number of their calls of the denoiser, without torch.

`accel.solvers.schedulers.count_calls` asks the solver itself; a test keeps this table equal to it.
"""

from __future__ import annotations

from strategies.solver_settings import name_of


def _named(*names: str) -> frozenset[str]:
    return frozenset(f"{name}Scheduler" for name in names)


# Solvers of flow models alone (Stable Diffusion 3, FLUX).
FLOW = _named("FlowMatchEulerDiscrete", "FlowMatchHeunDiscrete", "FlowMatchLCM")
# Solvers of diffusion models that solve flow models too, where they are told to.
EITHER = _named(
    "DEISMultistep", "DPMSolverMultistep", "DPMSolverSinglestep", "SASolver", "UniPCMultistep"
)
# Solvers of diffusion models alone.
DIFFUSION = _named(
    "DDIM",
    "DDIMParallel",
    "DDPM",
    "DDPMParallel",
    "DPMSolverSDE",
    "EulerAncestralDiscrete",
    "EulerDiscrete",
    "HeunDiscrete",
    "KDPM2AncestralDiscrete",
    "KDPM2Discrete",
    "LCM",
    "LMSDiscrete",
    "PNDM",
    "TCD",
)
TWO_EACH = _named(
    "DPMSolverSDE", "FlowMatchHeunDiscrete", "HeunDiscrete", "KDPM2AncestralDiscrete",
    "KDPM2Discrete",
)  # fmt: skip
ONE_EACH = (FLOW | EITHER | DIFFUSION) - TWO_EACH - {"PNDMScheduler"}


def calls_of(scheduler: str, steps: int) -> int | None:
    """Calls of a generation, or None for a solver that this table does not have.

    PNDM is used as in Stable Diffusion, without the Runge-Kutta warm-up: one call more than steps.
    """
    scheduler = name_of(scheduler)  # Settings change no number of calls.
    if scheduler in ONE_EACH:
        return steps
    if scheduler in TWO_EACH:
        return 2 * steps - 1
    return steps + 1 if scheduler == "PNDMScheduler" else None


def steps_of(scheduler: str, calls: int) -> int:
    """Steps that make so many calls; as many for a solver that this table does not have."""
    scheduler = name_of(scheduler)
    if scheduler in TWO_EACH:
        return (calls + 1) // 2
    return max(1, calls - 1) if scheduler == "PNDMScheduler" else calls


def exchangeable(one: str, other: str) -> bool:
    """Whether two solvers may solve the same model; one that is unknown here stands alone."""
    names = {name_of(one), name_of(other)}
    if not names <= FLOW | EITHER | DIFFUSION:
        return len(names) == 1
    return not (names & FLOW and names & DIFFUSION)
