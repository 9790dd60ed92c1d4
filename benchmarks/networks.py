"""Transformers of the published topologies with random weights, and what they get besides latents.

Each has two rows, for guidance, and takes heads, layers and the latents' side to be made smaller;
the defaults are the published sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    DiTTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
)

from accel import families
from strategies import Strategy
from zoo import tiny_sd

FULL_LATENT = 128
FEWER_TOKENS = 77  # Of the text, where the image is smaller too.


class Bare:
    """As much of a pipeline as the sampler needs."""

    def __init__(self, transformer: Any, scheduler: Any) -> None:
        self.transformer, self.scheduler = transformer, scheduler

    @property
    def device(self) -> torch.device:
        """Where the transformer is."""
        return self.transformer.device


Built = tuple[Bare, dict[str, Any]]


def sd3_medium(heads: int = 24, layers: int = 24, latent: int = 128) -> Built:
    """Latents of 16 channels; 77 CLIP and 256 T5 tokens, as the pipeline gives them."""
    network = SD3Transformer2DModel(
        sample_size=latent,
        patch_size=2,
        num_layers=layers,
        attention_head_dim=64,
        num_attention_heads=heads,
        joint_attention_dim=4096,
        caption_projection_dim=64 * heads,
        pooled_projection_dim=2048,
        pos_embed_max_size=192,
    )
    tokens = 333 if latent >= FULL_LATENT else FEWER_TOKENS
    given = {
        "encoder_hidden_states": torch.randn(2, tokens, 4096),
        "pooled_projections": torch.randn(2, 2048),
    }
    return Bare(network, FlowMatchEulerDiscreteScheduler(shift=3.0)), given


def pixart_sigma(heads: int = 16, layers: int = 28, latent: int = 128) -> Built:
    """Latents of 4 channels; 300 T5 tokens."""
    network = PixArtTransformer2DModel(
        sample_size=latent,
        num_layers=layers,
        num_attention_heads=heads,
        attention_head_dim=72,
        in_channels=4,
        out_channels=8,
        cross_attention_dim=72 * heads,
        caption_channels=4096,
        use_additional_conditions=False,
        interpolation_scale=2,
    )
    tokens = 300 if latent >= FULL_LATENT else FEWER_TOKENS
    given: dict[str, Any] = {"encoder_hidden_states": torch.randn(2, tokens, 4096)}
    given["added_cond_kwargs"] = {"resolution": None, "aspect_ratio": None}
    return Bare(network, tiny_sd.scheduler()), given


def dit_xl_2(heads: int = 16, layers: int = 28, latent: int = 32) -> Built:
    """Latents of 4 channels, 256 x 256 pixels; a class and no class."""
    network = DiTTransformer2DModel(
        sample_size=latent,
        num_layers=layers,
        num_attention_heads=heads,
        attention_head_dim=72,
        in_channels=4,
        out_channels=8,
    )
    given = {"class_labels": torch.tensor([7, 1000])}
    return Bare(network.eval(), tiny_sd.scheduler()), given


NETWORKS: dict[str, Callable[..., Built]] = {
    "sd3-medium": sd3_medium,
    "pixart-sigma": pixart_sigma,
    "dit-xl-2": dit_xl_2,
}


def strategy(pipe: Bare, calls: int, methods: dict[str, Any]) -> Strategy:
    """Of one of these."""
    family, _ = families.find(pipe)
    scheduler = type(pipe.scheduler).__name__
    return Strategy.create(
        family=family, scheduler=scheduler, steps=calls, calls=calls, methods=methods
    )
