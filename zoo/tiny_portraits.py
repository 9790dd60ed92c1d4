"""The parts of tiny-portraits, untrained: Stable Diffusion's topology on 32 x 32 latents.

Four levels of one layer each (8 skip positions). Self- and cross-attention with four heads stand
on the first level, where 1,024 tokens make them most of a call, and on the third, where 8 x 8
tokens decide what is drawn where. A CLIP text encoder, a KL autoencoder with factor 2 and
v-prediction on SD's noise schedule, as in tiny-sd. Everything is an ordinary diffusers or
transformers class; `zoo.train` fills in the weights.
"""

from __future__ import annotations

from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from torch import nn
from transformers import CLIPTokenizer

from zoo import tiny_sd
from zoo.portraits import captions
from zoo.portraits.drawing import IMAGE_SIZE
from zoo.tiny_sd import Parts

LATENT_SIZE = IMAGE_SIZE // 2
MAX_TOKENS = captions.MAX_WORDS + 2
WIDTH = 96


def build() -> Parts:
    """Fresh parts with random weights from torch's global generator."""
    words = tokenizer()
    return Parts(words, tiny_sd.text_encoder(words, WIDTH), vae(), unet())


def tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer that makes every word of the captions one token."""
    return tiny_sd.tokenizer(captions.vocabulary(), MAX_TOKENS)


def vae() -> AutoencoderKL:
    """The autoencoder: RGB `[n, 3, 64, 64]` in [-1, 1] to `[n, 4, 32, 32]` and back.

    Its residual branches begin at zero, so that it begins nearly linear: flat cells of any colour
    are then learnt in far fewer steps.
    """
    made = tiny_sd.vae(IMAGE_SIZE, (16, 32))
    for module in made.modules():
        if isinstance(module, ResnetBlock2D):
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
    return made


def unet(**overrides: Any) -> UNet2DConditionModel:
    """The denoiser; `overrides` are passed to the constructor."""
    settings: dict[str, Any] = {
        "block_out_channels": (32, 64, 96, 96),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D") * 2,
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D") * 2,
        "cross_attention_dim": WIDTH,
    }
    return tiny_sd.unet(LATENT_SIZE, **(settings | overrides))
