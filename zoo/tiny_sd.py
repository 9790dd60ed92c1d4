"""The parts of tiny-sd, untrained: Stable Diffusion 1.5's topology at a size that runs on a CPU.

4 levels x 2 layers (12 skip positions), cross-attention on the upper three levels, a CLIP text
encoder, a KL autoencoder with factor 2, v-prediction (Salimans & Ho, 2022) on SD's noise schedule.
Everything is an ordinary diffusers or transformers class; `zoo.train` fills in the weights.
"""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import diffusers
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from zoo import data
from zoo.versions.tokenizers import clip_tokenizer

IMAGE_SIZE = 32
LATENT_SIZE = 16
MAX_TOKENS = 20


@dataclass
class Parts:
    """Parts of a `StableDiffusionPipeline`."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    vae: AutoencoderKL
    unet: UNet2DConditionModel

    def pipeline(self) -> diffusers.StableDiffusionPipeline:
        """The parts as a pipeline with a DDIM scheduler and without a safety checker."""
        return diffusers.StableDiffusionPipeline(
            vae=self.vae,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    def learning(self) -> dict[str, nn.Module]:
        """Modules that diffusion training changes, by name in the pipeline."""
        return {"unet": self.unet, "text_encoder": self.text_encoder}

    def pool(self, tokens: Tensor) -> Tensor:
        """One vector per caption, `[n, 64]`, of tokens `[n, MAX_TOKENS]`."""
        pooled: Tensor = self.text_encoder(tokens).pooler_output
        return pooled

    def predict(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """Prediction of v, `[n, 4, h, w]` like the noisy latents; times are `[n]`."""
        hidden = self.text_encoder(tokens).last_hidden_state
        guess: Tensor = self.unet(noisy, times, hidden).sample
        return guess


def build(latent_size: int = LATENT_SIZE) -> Parts:
    """Fresh parts with random weights from torch's global generator."""
    words = tokenizer()
    return Parts(words, text_encoder(words), vae(), unet(latent_size))


def tokenizer(words: Sequence[str] = (), length: int = MAX_TOKENS) -> CLIPTokenizer:
    """A real CLIP byte-pair tokenizer whose merges make every word of the captions one token.

    The learner breaks ties between equally frequent pairs by chance. Every word therefore gets a
    frequency of its own, and the tokens are numbered in alphabetical order, so that each build is
    the same.

    Args:
        words: words that captions can hold; those of shapes by default.
        length: tokens of a padded caption.
    """
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        min_frequency=1,
        initial_alphabet=list(string.ascii_lowercase),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    every = enumerate(words or data.vocabulary())
    corpus = [word for rank, word in every for _ in range(100 + rank * rank)]
    learner.train_from_iterator(corpus, trainer)
    model = json.loads(learner.to_str())["model"]
    tokens = ["<|startoftext|>", "<|endoftext|>", *sorted(model["vocab"])]
    return clip_tokenizer(
        {token: number for number, token in enumerate(tokens)},
        [tuple(merge) for merge in model["merges"]],
        length,
    )


def text_encoder(words: CLIPTokenizer, width: int = 64) -> CLIPTextModel:
    """A two-layer CLIP text encoder."""
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=words.model_max_length,
        projection_dim=width,
        hidden_act="quick_gelu",
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return CLIPTextModel(config)


def vae(image_size: int = IMAGE_SIZE, channels: tuple[int, int] = (24, 32)) -> AutoencoderKL:
    """A KL autoencoder: RGB `[n, 3, h, w]` in [-1, 1] to `[n, 4, h / 2, w / 2]` and back."""
    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=image_size,
        mid_block_add_attention=False,
    )


def unet(latent_size: int = LATENT_SIZE, **overrides: Any) -> UNet2DConditionModel:
    """SD 1.5's UNet with narrow channels; `overrides` are passed to the constructor."""
    settings: dict[str, Any] = {
        "sample_size": latent_size,
        "block_out_channels": (32, 64, 96, 96),
        "layers_per_block": 2,
        "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        "cross_attention_dim": 64,
        # The number of heads: diffusers keeps SD 1.5's misnomer.
        "attention_head_dim": 4,
        "norm_num_groups": 16,
    }
    return UNet2DConditionModel(**(settings | overrides))


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule, for a model that predicts v."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )
