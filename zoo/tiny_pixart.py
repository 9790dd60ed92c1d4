"""The parts of tiny-pixart, untrained: PixArt's topology at a size that runs on a CPU.

Ten blocks of self-attention, cross-attention and MLP, modulated by one shared adaLN ("ada_norm_
single"), sinusoidal positions, a T5 encoder, and an output that leaves room for the variance as
PixArt-alpha's does (Chen et al., 2023, arXiv 2310.00426). Autoencoder, noise schedule and
v-prediction are tiny-sd's. `zoo.train` fills in the weights.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, PixArtTransformer2DModel
from torch import Tensor, nn
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from zoo import data
from zoo.tiny_sd import LATENT_SIZE, MAX_TOKENS, scheduler, vae
from zoo.versions.tokenizers import t5_tokenizer

CHANNELS = 4


@dataclass
class Parts:
    """Parts of a `PixArtSigmaPipeline`."""

    tokenizer: T5Tokenizer
    text_encoder: T5EncoderModel
    vae: AutoencoderKL
    transformer: PixArtTransformer2DModel

    def pipeline(self) -> diffusers.PixArtSigmaPipeline:
        """The parts as a pipeline with a DDIM scheduler."""
        return diffusers.PixArtSigmaPipeline(
            tokenizer=self.tokenizer,
            text_encoder=self.text_encoder,
            vae=self.vae,
            transformer=self.transformer,
            scheduler=scheduler(),
        )

    def learning(self) -> dict[str, nn.Module]:
        """Modules that diffusion training changes, by name in the pipeline."""
        return {"transformer": self.transformer, "text_encoder": self.text_encoder}

    def pool(self, tokens: Tensor) -> Tensor:
        """The mean over the words of each caption, `[n, 64]`, of tokens `[n, MAX_TOKENS]`."""
        hidden, mask = self._hidden(tokens)
        mean: Tensor = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return mean

    def predict(self, noisy: Tensor, times: Tensor, tokens: Tensor) -> Tensor:
        """The guess of v, `[n, 4, h, w]` like the noisy latents; times are `[n]`.

        The other half of the output, the variance of PixArt, is not trained: its pipeline, too,
        drops it.
        """
        hidden, mask = self._hidden(tokens)
        guess: Tensor = self.transformer(
            noisy, encoder_hidden_states=hidden, timestep=times, encoder_attention_mask=mask
        ).sample
        return guess[:, :CHANNELS]

    def _hidden(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        mask = (tokens != self.tokenizer.pad_token_id).float()
        return self.text_encoder(tokens, attention_mask=mask).last_hidden_state, mask


def build(latent_size: int = LATENT_SIZE, patch_size: int = 1) -> Parts:
    """Fresh parts with random weights from torch's global generator."""
    words = tokenizer()
    return Parts(words, text_encoder(words), vae(), transformer(latent_size, patch_size))


def tokenizer() -> T5Tokenizer:
    """A real T5 unigram tokenizer: every word of the captions is one token, others are spelled."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(piece, -12.0) for piece in "▁" + string.ascii_lowercase]
    pieces += [(f"▁{word}", -4.0) for word in data.vocabulary() if len(word) > 1]
    pieces += [("▁a", -4.0)]
    return t5_tokenizer(pieces, MAX_TOKENS)


def text_encoder(words: T5Tokenizer) -> T5EncoderModel:
    """A two-layer T5 v1.1 encoder of width 64."""
    config = T5Config(
        vocab_size=len(words),
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        is_encoder_decoder=False,
        use_cache=False,
    )
    return T5EncoderModel(config)


def transformer(
    latent_size: int = LATENT_SIZE, patch_size: int = 1, **overrides: Any
) -> PixArtTransformer2DModel:
    """PixArt's transformer, narrow; `overrides` are passed to the constructor.

    Positions are counted in patches of two, so that both patch sizes see the same ones.
    """
    settings: dict[str, Any] = {
        "sample_size": latent_size,
        "patch_size": patch_size,
        "interpolation_scale": 2 // patch_size,
        "num_layers": 10,
        "num_attention_heads": 4,
        "attention_head_dim": 32,
        "cross_attention_dim": 128,
        "caption_channels": 64,
        "in_channels": CHANNELS,
        "out_channels": 2 * CHANNELS,
    }
    return PixArtTransformer2DModel(**(settings | overrides))


def coarse() -> Parts:
    """Parts to begin training with: patches of two and the initial weights of DiT and PixArt.

    Xavier weights, small ones in the embeddings of time and caption, and zeros where a branch
    begins that shall grow (Peebles & Xie, 2022, section 3.2; PixArt-alpha, section 2.3).
    """
    parts = build(patch_size=2)
    model = parts.transformer
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for layer in [*model.adaln_single.modules(), *model.caption_projection.modules()]:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
    for block in model.transformer_blocks:
        nn.init.zeros_(block.attn2.to_out[0].weight)
    nn.init.zeros_(model.proj_out.weight)
    return parts


@torch.no_grad()
def refine(before: Parts) -> Parts:
    """Parts with patches of one that begin as those with patches of two ended.

    A token that stood for four latent pixels becomes four tokens: the weights of its inputs are
    added up and those of its outputs averaged, and everything else is kept.
    """
    after = build(patch_size=1)
    after.vae, after.text_encoder = before.vae, before.text_encoder
    weights = before.transformer.state_dict()
    weights["pos_embed.proj.weight"] = weights["pos_embed.proj.weight"].sum((2, 3), keepdim=True)
    for name in ("proj_out.weight", "proj_out.bias"):
        weights[name] = weights[name].unflatten(0, (4, 2 * CHANNELS)).mean(0)
    after.transformer.load_state_dict(weights)
    return after
