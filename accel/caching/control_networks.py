"""ControlNets run for one half of guidance at calls where the denoiser runs for one half.

A pipeline calls its ControlNet with the doubled batch before it calls the denoiser. If the strategy
leaves out one half at that call, only the rows of the other half are computed. The results are
given back for both halves, as the pipeline expects; the denoiser reads only those of its half.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from accel.caching.guidance_halves import taken
from accel.clock import Clock
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, untraced

Place = Callable[[Any], int | None]


def attach(network: Any, clock: Clock, place: Place) -> Undo:
    """Run a ControlNet for the half of guidance that the denoiser runs for, until undone.

    Args:
        network: a ControlNet, or several of them as one module. Anything else is left alone.
        clock: the sampler's clock.
        place: function from a timestep to the index of its call in the generation that the clock
            follows, or None if the timestep is of another generation.
    """
    if not isinstance(network, nn.Module):
        return lambda: None
    names = list(inspect.signature(network.forward).parameters)
    if "timestep" not in names:
        return lambda: None

    @untraced
    def half(given: dict[str, Any]) -> int | None:
        call = place(given["timestep"])
        doubled = call is not None and len(given[names[0]]) == clock.rows
        return clock.half_alone_at(call) if call is not None and doubled else None

    def make(original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            alone = half(dict(zip(names, args, strict=False)) | kwargs)
            if alone is None:
                return original(*args, **kwargs)
            rows = clock.rows
            return for_both_halves(
                original(*taken(args, rows, alone), **taken(kwargs, rows, alone))
            )

        return forward

    return replace_forward(network, make, traced=False)


def for_both_halves(value: Any) -> Any:
    """Every tensor of a result with its rows given twice, `[n, ...]` to `[2 n, ...]`."""
    if isinstance(value, Tensor):
        return torch.cat([value, value])
    if isinstance(value, BaseOutput):
        return type(value)(**{name: for_both_halves(one) for name, one in value.items()})
    if isinstance(value, list | tuple):
        return type(value)(for_both_halves(one) for one in value)
    return value
