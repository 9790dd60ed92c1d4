"""Tiny pipelines in double precision that are drawn with guidance per call."""

from __future__ import annotations

from typing import Any

import torch

import accel
from strategies import Strategy
from tests.support.pipelines import transformer_pipelines, unet_pipelines
from tests.support.pipelines.unet_pipelines import STEPS

MODELS = ("sd1", "sdxl", *transformer_pipelines.MODELS)
REUSE = ["full", "full", "reuse", "reuse", "full", "reuse"]


def build(model: str) -> Any:
    """A pipeline in double precision, in which choices and chaos do not magnify rounding."""
    made = (
        unet_pipelines.build(model)
        if model in unet_pipelines.MODELS
        else transformer_pipelines.build(model)
    )
    return made.to(dtype=torch.float64)


def draw(pipe: Any, guidance: float = 4.0, **given: Any) -> torch.Tensor:
    if hasattr(pipe, "unet"):
        return unet_pipelines.draw(pipe, guidance_scale=guidance, **given)
    return transformer_pipelines.draw(pipe, guidance=guidance, **given)


def strategy(model: str, calls: int = STEPS, **knobs: Any) -> Strategy:
    methods = {"guidance": knobs}
    if model in unet_pipelines.MODELS:
        return unet_pipelines.strategy(methods, calls)
    return transformer_pipelines.strategy(model, methods, calls)


def drawn(pipe: Any, one: Strategy, **given: Any) -> torch.Tensor:
    with accel.accelerated(pipe, one):
        return draw(pipe, **given)
