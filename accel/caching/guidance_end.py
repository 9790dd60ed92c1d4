"""Kept results once guidance has ended: they are averaged over its two halves."""

from __future__ import annotations

from typing import Any

import torch

from accel.caching.extrapolation import History
from accel.caching.guidance_halves import first_tensor
from accel.clock import Clock


def average_guidance(passes: dict[int, History], clock: Clock) -> dict[int, History]:
    """Histories averaged over the two halves of guidance, all under the first pass.

    A result of the half with the prompt alone, from a call without guidance, stays as it is.

    Args:
        passes: histories of tensors `[rows, ...]`, or of tuples of them, by pass. The rows of a
            pass hold both halves, or two passes hold one each.
        clock: the sampler's clock, at the first call after the end of guidance.
    """
    if clock.batched_guidance:
        return {b: [(call, _averaged(v, clock)) for call, v in h] for b, h in passes.items()}
    if set(passes) == {clock.conditional}:
        return {0: passes[clock.conditional]}
    if len(passes) < 2:
        return {}
    pairs = zip(reversed(passes[0]), reversed(passes[1]), strict=False)
    return {0: [(min(a, b), mean(one, other)) for (a, one), (b, other) in pairs][::-1]}


def _averaged(value: Any, clock: Clock) -> Any:
    return value if 2 * len(first_tensor(value)) == clock.rows else mean_of_halves(value)


def mean(one: Any, other: Any) -> Any:
    """Mean of two tensors, or of two tuples of tensors element by element."""
    if isinstance(one, tuple):
        return tuple(mean(a, b) for a, b in zip(one, other, strict=True))
    return torch.add(one, other).div_(2)


def mean_of_halves(value: Any) -> Any:
    """Mean of the two halves of the rows, `[2 n, ...]` to `[n, ...]`, of a tensor or of each in a
    tuple.
    """
    if isinstance(value, tuple):
        return tuple(mean_of_halves(item) for item in value)
    return mean(*value.chunk(2))
