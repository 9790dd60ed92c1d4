"""Shared by all tests: tiny real pipelines with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from accel.models import quiet
from strategies import Strategy
from zoo import tiny_sd

torch.set_num_threads(1)
quiet()
STEPS = 6


def small_unet(**overrides: Any) -> UNet2DConditionModel:
    """SD 1.5's topology at the smallest width that group norm allows."""
    settings = {"block_out_channels": (8, 16, 16, 16), "norm_num_groups": 4}
    settings |= {"attention_head_dim": 2}
    return tiny_sd.unet(16, **(settings | overrides))


def build_pipe() -> Any:
    torch.manual_seed(0)
    parts = tiny_sd.build()
    parts.unet = small_unet()
    # Fresh weights predict almost nothing; larger ones make every change visible.
    with torch.no_grad():
        for weight in parts.unet.parameters():
            if weight.ndim > 1:
                weight.mul_(1.5)
    pipe = parts.pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="session")
def make_pipe() -> Callable[[], Any]:
    """A function that gives a fresh pipeline, always with the same weights."""
    return build_pipe


@pytest.fixture
def pipe() -> Any:
    return build_pipe()


def draw(pipe: Any, steps: int = STEPS, seed: int = 0, **settings: Any) -> torch.Tensor:
    """Latents of one generation; settings are passed to the pipeline."""
    generator = torch.Generator().manual_seed(seed)
    arguments = {"prompt": "a large red circle", "generator": generator} | settings
    return pipe(num_inference_steps=steps, output_type="latent", **arguments).images


def strategy(
    methods: dict[str, Any],
    calls: int = STEPS,
    steps: int | None = None,
    scheduler: str = "DDIMScheduler",
) -> Strategy:
    return Strategy.create(
        family="unet",
        scheduler=scheduler,
        steps=steps or calls,
        calls=calls,
        methods=methods,
    )
