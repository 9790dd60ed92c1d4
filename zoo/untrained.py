"""Tiny pipelines with random weights, for the topologies that no bundled model has.

They generate noise, but every module of the real model is there, so that samplers can be tried and
tested on them without any download.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    DiTPipeline,
    DiTTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from strategies import StrategyError
from zoo import tiny_pixart, tiny_sd

CHANNELS = 4
HEADS = {"num_attention_heads": 2, "attention_head_dim": 16}


def load_untrained(name: str, seed: int = 0, **overrides: Any) -> Any:
    """A fresh pipeline, with the same weights for the same seed.

    torch's global generator is left alone.

    Args:
        name: `dit`, `pixart`, `sd3`, `sd35` (with dual attention) or `flux`.
        seed: random seed of the weights.
        overrides: arguments of the transformer's constructor.

    Raises:
        StrategyError: no such topology.
    """
    if name not in BUILDERS:
        raise StrategyError(f"no topology {name!r}; there are {', '.join(BUILDERS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipe = BUILDERS[name](overrides)
        _enliven(pipe.transformer)
        if name == "dit":
            one_embedder(pipe.transformer)
    pipe.transformer.eval()  # DiT in training mode drops class labels at random.
    pipe.set_progress_bar_config(disable=True)
    return pipe


def one_embedder(network: Any) -> None:
    """Give every block a copy of one embedder of time and class, as in DiT's published weights."""
    one, *others = (block.norm1.emb for block in network.transformer_blocks)
    for other in others:
        other.load_state_dict(one.state_dict())


def dit(overrides: dict[str, Any]) -> DiTPipeline:
    """DiT (Peebles & Xie, 2022) with 1000 classes, three blocks and patches of 2."""
    settings: dict[str, Any] = {
        "in_channels": CHANNELS,
        "out_channels": 2 * CHANNELS,
        "num_layers": 3,
        "sample_size": 8,
        "patch_size": 2,
        "num_embeds_ada_norm": 1000,
        "norm_num_groups": 1,
    }
    transformer = DiTTransformer2DModel(**(HEADS | settings | overrides))
    labels = {i: str(i) for i in range(1000)}
    return DiTPipeline(transformer, tiny_sd.vae(), tiny_sd.scheduler(), labels)


def pixart(overrides: dict[str, Any]) -> Any:
    """PixArt-Sigma with three blocks; call it with `**zoo.MODELS["tiny-pixart"]`."""
    parts = tiny_pixart.build()
    parts.transformer = tiny_pixart.transformer(**({"num_layers": 3} | overrides))
    return parts.pipeline()


def sd3(overrides: dict[str, Any]) -> StableDiffusion3Pipeline:
    """Stable Diffusion 3 with three joint blocks, two CLIP encoders and a T5."""
    settings: dict[str, Any] = {
        "sample_size": 16,
        "patch_size": 2,
        "in_channels": CHANNELS,
        "out_channels": CHANNELS,
        "num_layers": 3,
        "caption_projection_dim": 32,
        "joint_attention_dim": 128,  # Both CLIP encoders side by side.
        "pooled_projection_dim": 128,
        "pos_embed_max_size": 24,
    }
    words = tiny_sd.tokenizer()
    letters = tiny_pixart.tokenizer()
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(**(HEADS | settings | overrides)),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(),
        text_encoder=_clip(words, CLIPTextModelWithProjection),
        tokenizer=words,
        text_encoder_2=_clip(words, CLIPTextModelWithProjection),
        tokenizer_2=words,
        text_encoder_3=_t5(128, letters),
        tokenizer_3=letters,
    )


def sd35(overrides: dict[str, Any]) -> StableDiffusion3Pipeline:
    """Stable Diffusion 3.5 medium's blocks: normed queries and keys, two with dual attention."""
    return sd3({"qk_norm": "rms_norm", "dual_attention_layers": (0, 1)} | overrides)


def flux(overrides: dict[str, Any]) -> FluxPipeline:
    """FLUX.1 with two double and two single blocks, distilled guidance."""
    settings: dict[str, Any] = {
        "patch_size": 1,
        "in_channels": 4 * CHANNELS,
        "num_layers": 2,
        "num_single_layers": 2,
        "joint_attention_dim": 64,
        "pooled_projection_dim": 64,
        "guidance_embeds": True,
        "axes_dims_rope": (4, 6, 6),
    }
    words = tiny_sd.tokenizer()
    letters = tiny_pixart.tokenizer()
    return FluxPipeline(
        transformer=FluxTransformer2DModel(**(HEADS | settings | overrides)),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=_vae(),
        text_encoder=_clip(words, CLIPTextModel),
        tokenizer=words,
        text_encoder_2=_t5(64, letters),
        tokenizer_2=letters,
    )


BUILDERS = {"dit": dit, "pixart": pixart, "sd3": sd3, "sd35": sd35, "flux": flux}


def _vae() -> Any:
    vae = tiny_sd.vae()
    vae.register_to_config(shift_factor=0.0)
    return vae


def _clip(words: Any, kind: type[Any]) -> Any:
    config = CLIPTextConfig.from_dict(tiny_sd.text_encoder(words).config.to_dict())
    config.projection_dim = 64
    return kind(config).eval()


def _t5(width: int, letters: Any) -> Any:
    encoder = tiny_pixart.text_encoder(letters)
    config = encoder.config
    config.d_model = width
    return type(encoder)(config).eval()


@torch.no_grad()
def _enliven(transformer: nn.Module) -> None:
    """Enlarge all weights: fresh modulations are zero, and then no block does anything."""
    for weight in transformer.parameters():
        weight.copy_(torch.randn_like(weight) * 0.2)
