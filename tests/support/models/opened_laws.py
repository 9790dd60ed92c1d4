"""Laws of the sampler on a pipeline that was loaded from a user's files."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import accel
from strategies import Strategy
from tests.support.models import steered_transformers
from tests.support.pipelines import transformer_pipelines, unet_pipelines

STEPS = unet_pipelines.STEPS


def strategies_of(pipe: Any) -> tuple[Strategy, Strategy, Strategy]:
    """A strategy that changes nothing, a strong one and another one, for a pipeline's family."""
    if hasattr(pipe, "unet"):
        methods: list[dict[str, Any]] = [
            {"deepcache": {"depth": "full"}},
            {"deepcache": {"depth": ["full", 1] * 3}, "dato": {"ratio": 0.5, "levels": 1}},
            {"tome": {"ratio": 0.5}},
        ]
        return tuple(unet_pipelines.strategy(one) for one in methods)  # type: ignore[return-value]
    kind = "flux" if type(pipe).__name__.startswith("Flux") else "sd3"
    neutral = transformer_pipelines.NEUTRAL["fora"]
    strong, other = transformer_pipelines.ALL["fora"], transformer_pipelines.ALL["cat"]
    made = (transformer_pipelines.strategy(kind, one) for one in (neutral, strong, other))
    return tuple(made)  # type: ignore[return-value]


def draw(pipe: Any, **given: Any) -> torch.Tensor:
    """Latents of one generation."""
    if hasattr(pipe, "unet"):
        return unet_pipelines.draw(pipe, **given)
    steered = hasattr(pipe, "controlnet")
    return (steered_transformers if steered else transformer_pipelines).draw(pipe, **given)


def alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether images are the same to rounding.

    Weights in a mapped file are aligned differently from those in memory, and some processors then
    round matrix products differently.
    """
    return float((one - other).norm() / other.norm()) < 1e-4


def check(pipe: Any, rounding: float = 1e-3) -> torch.Tensor:
    """Check the laws: neutral, removal, repetition, histories and a batch.

    Args:
        pipe: pipeline without a strategy.
        rounding: largest difference of an image alone and in a batch, relative to its norm.

    Returns:
        Latents of the unaccelerated pipeline.
    """
    neutral, strong, other = strategies_of(pipe)
    plain = draw(pipe)
    accel.apply(pipe, neutral)
    assert torch.equal(draw(pipe), plain)
    accel.apply(pipe, strong)
    fast = draw(pipe)
    assert not torch.equal(fast, plain)
    _histories(pipe, other)
    accel.apply(pipe, strong)
    draw(pipe, seed=1)
    assert torch.equal(draw(pipe), fast)
    _batch(pipe, fast, rounding)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)
    return plain


class InTheMiddleError(Exception):
    """Raised in the middle of a generation."""


def _histories(pipe: Any, other: Strategy) -> None:
    """A generation that fails in the middle, and one with another strategy."""

    def fail(_: Any, step: int, *__: Any) -> dict[str, Any]:
        if step == 2:
            raise InTheMiddleError
        return {}

    with pytest.raises(InTheMiddleError):
        draw(pipe, callback_on_step_end=fail)
    accel.apply(pipe, other)
    assert torch.isfinite(draw(pipe)).all()


def _batch(pipe: Any, alone: torch.Tensor, rounding: float) -> None:
    """The first image of a batch is the image alone."""
    if hasattr(pipe, "unet"):
        seeds = [torch.Generator().manual_seed(n) for n in (0, 1)]
        prompts = ["a large red circle", "a small blue ring"]
        both = draw(pipe, prompt=prompts, generator=seeds)
    else:
        both = draw(pipe, batch=2)
    assert (both[:1] - alone).norm() / alone.norm() < rounding
