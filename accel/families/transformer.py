"""Family `transformer`: any model of diffusers whose denoiser is a stack of blocks."""

from __future__ import annotations

import inspect
from typing import Any

from diffusers import ModelMixin
from torch import nn

from accel.families import block_parts, stacks, token_streams
from accel.families.base import Family
from accel.sites import Sites

TIMES = ("timestep", "timesteps", "t")
# Where both are there, blocks are only a part of the network.
LEVELS = ("down_blocks", "up_blocks")


def sites(denoiser: Any) -> Sites | None:
    """The sites of a transformer, or None where `denoiser` is not one of this family."""
    if not isinstance(denoiser, ModelMixin) or any(hasattr(denoiser, name) for name in LEVELS):
        return None
    stack = stacks.find_stack(denoiser)
    inputs = _inputs(denoiser)
    time = next((name for name in TIMES if name in inputs), None)
    if not stack or time is None:
        return None
    return Sites(
        denoiser, (), None, (), (), (), block_parts.find_parts(denoiser, stack), inputs,
        token_streams.find_token_stream(denoiser, stack), flow=None, stack=stack, time=time,
        scheduler_counts_calls=True, ordered=False, pathless=token_streams.why_no_path(denoiser),
    )  # fmt: skip


def _inputs(denoiser: nn.Module) -> tuple[str, ...]:
    """Names of the arguments of its class's `forward`, whatever has been put over it."""
    takes = inspect.signature(inspect.unwrap(type(denoiser).forward)).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(one.name for one in takes if one.kind in kinds)[1:]


FAMILY = Family(
    "transformer",
    "a `transformer` of diffusers that runs lists of blocks (docs/models.md has them all)",
    sites,
)
