"""Tiny transformers with a ControlNet."""

from __future__ import annotations

import copy
from typing import Any

import diffusers
import torch

from accel.solvers import noise
from tests.support.pipelines import transformer_pipelines


def network(denoiser: Any) -> Any:
    """A ControlNet of a transformer, whose outputs are not zero, as those of a fresh one are."""
    kind = "Flux" if "Flux" in type(denoiser).__name__ else "SD3"
    if kind == "Flux":
        names = ("num_attention_heads", "attention_head_dim")
        own = {name: denoiser.config[name] for name in names} | {"num_single_layers": 1}
    else:
        own = {"num_extra_conditioning_channels": 0}
    torch.manual_seed(0)
    made = getattr(diffusers, f"{kind}ControlNetModel").from_transformer(
        copy.deepcopy(denoiser), load_weights_from_transformer=False, num_layers=2, **own
    )
    first = made.controlnet_x_embedder if kind == "Flux" else made.pos_embed_input.proj
    for module in [*made.controlnet_blocks, first]:
        torch.nn.init.normal_(module.weight, std=0.3)
    return made


def draw(pipe: Any, seed: int = 0, batch: int = 1, **given: Any) -> torch.Tensor:
    """Latents of one generation, all of whose noise follows from the seeds `seed`, `seed + 1`..."""
    generators = [torch.Generator().manual_seed(seed + number) for number in range(batch)]
    image = torch.linspace(0, 1, 3 * 32 * 32).view(1, 3, 32, 32)
    settings: dict[str, Any] = {"control_image": image, "generator": generators} | given
    with noise.seeded(pipe, generators):
        return transformer_pipelines.draw(pipe, seed=seed, batch=batch, **settings)
