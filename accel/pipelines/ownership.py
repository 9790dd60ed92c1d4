"""Ownership of a pass: the strategy on a network that it belongs to."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from accel import registry
from strategies import StrategyError


def is_mine(sampler: Any, pipe: Any, timestep: Any) -> bool:
    """Whether a pass of the network belongs to a sampler's pipeline.

    Args:
        sampler: sampler of the pipeline's first network.
        pipe: the pipeline that makes the pass; None in a loop of one's own.
        timestep: timestep that the network gets.

    Raises:
        StrategyError: a loop of one's own runs a network with several strategies, and its timestep
            is on none of their schedules.
    """
    if pipe is not None:
        return pipe is sampler.pipe()
    applied = registry.sharing(sampler.network)
    if len(applied) <= 1:
        return True
    found = [one for one in applied if _owns(one.pipe(), timestep)]
    if len(found) == 1:
        return found[0] in (sampler, sampler.group)
    raise StrategyError(
        f"{len(applied)} pipelines with a strategy share this denoiser, and a call of it from "
        "outside of them cannot be told to belong to one; iterate over the timesteps of that "
        "pipeline's own scheduler, or remove the other strategies"
    )


def _owns(pipe: Any, timestep: Any) -> bool:
    """Whether a timestep is a view of a pipeline's schedule."""
    schedule = getattr(getattr(pipe, "scheduler", None), "timesteps", None)
    if not isinstance(timestep, Tensor) or not isinstance(schedule, Tensor):
        return False
    return timestep.untyped_storage().data_ptr() == schedule.untyped_storage().data_ptr()
