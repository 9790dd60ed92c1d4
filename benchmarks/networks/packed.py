"""Denoisers that take packed latents, `[images, tokens, channels]`: FLUX.1, FLUX.2 and Qwen-Image.

Their topologies have random weights, as in `topologies.py`. One row is one image: FLUX has its
guidance embedded, and Qwen-Image makes two such passes for each step, which are alike.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    QwenImageTransformer2DModel,
)
from torch import Tensor

from benchmarks.networks.parts import Bare

Built = tuple[Bare, dict[str, Any]]
FULL = 128  # Side of the latents of 1024 x 1024 pixels.
FEWER = 77  # Tokens of the text, where the image is smaller too.


class Packed(Bare):
    """Parts of a pipeline with packed latents.

    Args:
        network: the denoiser.
        side: side of the grid of tokens.
        shared: arguments of the denoiser that do not depend on the batch.
    """

    rows = 1

    def __init__(self, network: Any, side: int, shared: dict[str, Any]) -> None:
        super().__init__(network, FlowMatchEulerDiscreteScheduler(shift=3.0))
        self.side, self.shared = side, shared

    def shape(self, batch: int) -> tuple[int, ...]:
        return (batch, self.side**2, self.denoiser.config.in_channels)

    def time(self, t: Tensor) -> Tensor:
        return t / 1000

    def guided(self, guess: Tensor) -> Tensor:
        return guess


def text_tokens(latent: int, full: int) -> int:
    """Number of tokens of the text, fewer where the image is smaller."""
    return full if latent >= FULL else FEWER


def places(side: int, axes: int) -> Tensor:
    """Positions of the image's tokens."""
    found = torch.zeros(side, side, axes)
    found[..., 1] = torch.arange(side)[:, None]
    found[..., 2] = torch.arange(side)
    return found.view(side * side, axes)


def flux1(heads: int = 24, layers: int = 57, latent: int = FULL) -> Built:
    """FLUX.1: a third of the blocks with two streams; 512 T5 tokens."""
    network = FluxTransformer2DModel(
        num_layers=max(1, layers // 3),
        num_single_layers=max(1, layers - layers // 3),
        num_attention_heads=heads,
        guidance_embeds=True,
    )
    text, side = text_tokens(latent, 512), latent // 2
    given = {
        "encoder_hidden_states": torch.randn(1, text, 4096),
        "pooled_projections": torch.randn(1, 768),
        "guidance": torch.full((1,), 3.5),
    }
    shared = {"img_ids": places(side, 3), "txt_ids": torch.zeros(text, 3)}
    return Packed(network, side, shared), given


def flux2(heads: int = 48, layers: int = 56, latent: int = FULL) -> Built:
    """FLUX.2: a seventh of the blocks with two streams; 512 tokens of its language model."""
    network = Flux2Transformer2DModel(
        num_layers=max(1, layers // 7),
        num_single_layers=max(1, layers - layers // 7),
        num_attention_heads=heads,
    )
    text, side = text_tokens(latent, 512), latent // 2
    given = {
        "encoder_hidden_states": torch.randn(1, text, 15360),
        "guidance": torch.full((1,), 4.0),
    }
    shared = {"img_ids": places(side, 4), "txt_ids": torch.zeros(text, 4)}
    return Packed(network, side, shared), given


def qwen_image(heads: int = 24, layers: int = 60, latent: int = FULL) -> Built:
    """Qwen-Image: blocks with two streams; 256 tokens of its language model."""
    network = QwenImageTransformer2DModel(num_layers=layers, num_attention_heads=heads)
    side = latent // 2
    given = {"encoder_hidden_states": torch.randn(1, text_tokens(latent, 256), 3584)}
    return Packed(network, side, {"img_shapes": [[(1, side, side)]]}), given
