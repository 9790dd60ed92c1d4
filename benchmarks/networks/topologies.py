"""Denoisers of the published topologies with random weights, and what they get besides latents.

Each has two rows, for guidance; the defaults are the published sizes. Transformers take heads,
layers and the latents' side to be made smaller, UNets the share of their width and that side.
Stable Diffusion 2.1 is the one for 768 x 768 pixels (v-prediction, latents 96 x 96); the one for
512 has the same network.
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
from benchmarks.networks import packed
from benchmarks.networks.parts import Bare
from strategies import Strategy
from zoo import tiny_sd

FULL_LATENT = 128
FEWER_TOKENS = 77  # Of the text, where the image is smaller too.


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


def pixart_alpha(heads: int = 16, layers: int = 28, latent: int = 32) -> Built:
    """The network of `pixart_sigma`, at 256 x 256 pixels, with 120 T5 tokens."""
    pipe, given = pixart_sigma(heads, layers, latent)
    return pipe, given | {"encoder_hidden_states": torch.randn(2, 120, 4096)}


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


def sd15(width: float = 1.0, latent: int = 64) -> Built:
    """Stable Diffusion 1.x: latents of 4 channels, 77 CLIP tokens."""
    channels = tuple(int(c * width) for c in (320, 640, 1280, 1280))
    network = tiny_sd.unet(
        latent,
        block_out_channels=channels,
        cross_attention_dim=768,
        attention_head_dim=8,
        norm_num_groups=32 if channels[0] % 32 == 0 else 16,
    )
    return Bare(network.eval(), tiny_sd.scheduler()), {
        "encoder_hidden_states": torch.randn(2, 77, 768)
    }


def sd21(width: float = 1.0, latent: int = 96) -> Built:
    """Stable Diffusion 2.1: as `sd15`, heads of 64 channels, 77 OpenCLIP tokens."""
    channels = tuple(int(c * width) for c in (320, 640, 1280, 1280))
    network = tiny_sd.unet(
        latent,
        block_out_channels=channels,
        cross_attention_dim=1024,
        attention_head_dim=tuple(max(1, c // 64) for c in channels),
        use_linear_projection=True,
        norm_num_groups=32 if channels[0] % 32 == 0 else 16,
    )
    return Bare(network.eval(), tiny_sd.scheduler()), {
        "encoder_hidden_states": torch.randn(2, 77, 1024)
    }


def sdxl(width: float = 1.0, latent: int = 128, layers: tuple[int, ...] = (1, 2, 10)) -> Built:
    """Stable Diffusion XL: latents of 4 channels, 77 tokens of both CLIP encoders.

    Args:
        layers: transformer blocks at each level.
    """
    channels = tuple(int(c * width) for c in (320, 640, 1280))
    network = tiny_sd.unet(
        latent,
        block_out_channels=channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=layers,
        attention_head_dim=tuple(max(1, c // 64) for c in channels),
        use_linear_projection=True,
        cross_attention_dim=2048,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=1280 + 6 * 256,
        norm_num_groups=32 if channels[0] % 32 == 0 else 16,
    )
    added = {"text_embeds": torch.randn(2, 1280), "time_ids": torch.zeros(2, 6)}
    return Bare(network.eval(), tiny_sd.scheduler()), {
        "encoder_hidden_states": torch.randn(2, 77, 2048),
        "added_cond_kwargs": added,
    }


UNETS: dict[str, Callable[..., Built]] = {"sd15": sd15, "sd21": sd21, "sdxl": sdxl}
# What transformer_methods.py does not race: UNets, and PixArt at another size.
OTHERS: dict[str, Callable[..., Built]] = UNETS | {"pixart-alpha": pixart_alpha}
NETWORKS: dict[str, Callable[..., Built]] = {
    "sd3-medium": sd3_medium,
    "pixart-sigma": pixart_sigma,
    "dit-xl-2": dit_xl_2,
    "flux1": packed.flux1,
    "flux2": packed.flux2,
    "qwen-image": packed.qwen_image,
}

# Heads, layers and the side of the latents at full size; of UNets that side alone.
SIZES = {
    "sd3-medium": (24, 24, 128),
    "pixart-sigma": (16, 28, 128),
    "dit-xl-2": (16, 28, 32),
    "flux1": (24, 57, 128),
    "flux2": (48, 56, 128),
    "qwen-image": (24, 60, 128),
}
LATENTS = {"sd15": 64, "sd21": 96, "sdxl": 128}


def sized(name: str, width: float, latent: int = 0, layers: int = 0) -> Built:
    """A network at a share of its width.

    Args:
        latent: side of the latents, 0 for the network's own.
        layers: number of layers of a transformer, 0 for the network's own.
    """
    if name in UNETS:
        return UNETS[name](width, latent or LATENTS[name])
    heads, own_layers, own_latent = SIZES[name]
    return NETWORKS[name](max(1, round(heads * width)), layers or own_layers, latent or own_latent)


def strategy(pipe: Bare, calls: int, methods: dict[str, Any]) -> Strategy:
    """Strategy for one of these networks."""
    family, _ = families.find_sites(pipe)
    scheduler = type(pipe.scheduler).__name__
    return Strategy.create(
        family=family, scheduler=scheduler, steps=calls, calls=calls, methods=methods
    )
