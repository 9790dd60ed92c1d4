"""Tiny pipelines of newer transformers, with text encoders, tokenizers and autoencoders.

They draw from prompts and can be saved, as a user has them; weights are random.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from accel.models.byte_tokenizer import byte_tokenizer
from tests.support.pipelines.stack_pipelines import PIPES, lively
from zoo import tiny_pixart


def qwen3(width: int, layers: int) -> Any:
    config = transformers.Qwen3Config(
        vocab_size=len(byte_tokenizer()), hidden_size=width, intermediate_size=2 * width,
        head_dim=8, num_hidden_layers=layers, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=600, tie_word_embeddings=True,
    )  # fmt: skip
    return transformers.Qwen3ForCausalLM(config).eval()


def qwen25() -> Any:
    vision = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
        "out_hidden_size": 24, "fullatt_block_indexes": [0],
    }  # fmt: skip
    text = {
        "vocab_size": len(byte_tokenizer()), "hidden_size": 24, "intermediate_size": 32,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
        "max_position_embeddings": 1200,
        "rope_parameters": {
            "rope_type": "default", "mrope_section": [2, 2, 2], "rope_theta": 10000.0,
        },
    }  # fmt: skip
    ends = {"eos_token_id": 0, "bos_token_id": 0}
    config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **ends)
    return transformers.Qwen2_5_VLForConditionalGeneration(config).eval()


def video_vae(kind: str) -> Any:
    """An autoencoder of Wan's or Qwen-Image's kind: factor 8 in space, 4 in time."""
    statistics = {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
    sizes = {"base_dim": 4, "z_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    return getattr(diffusers, kind)(**sizes, **statistics).eval()


def flat_vae(kind: str) -> Any:
    sizes = {"block_out_channels": (8, 8, 8, 8), "latent_channels": 4, "norm_num_groups": 4}
    if kind == "AutoencoderKL":
        sizes |= {"shift_factor": 0.0, "down_block_types": ("DownEncoderBlock2D",) * 4,
                  "up_block_types": ("UpDecoderBlock2D",) * 4}  # fmt: skip
    return getattr(diffusers, kind)(layers_per_block=1, **sizes).eval()


def umt5() -> dict[str, Any]:
    tokenizer = tiny_pixart.tokenizer()
    config = transformers.UMT5Config(
        vocab_size=len(tokenizer), d_model=24, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
        dropout_rate=0.0,
    )  # fmt: skip
    return {
        "tokenizer": tokenizer,
        "text_encoder": transformers.UMT5EncoderModel(config).eval(),
        "vae": video_vae("AutoencoderKLWan"),
    }


def t5() -> dict[str, Any]:
    tokenizer = tiny_pixart.tokenizer()
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=24, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
        dropout_rate=0.0, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        is_encoder_decoder=False, use_cache=False,
    )  # fmt: skip
    return {"tokenizer": tokenizer, "text_encoder": transformers.T5EncoderModel(config).eval()}


def mistral() -> Any:
    text = {
        "model_type": "mistral", "vocab_size": len(byte_tokenizer()), "hidden_size": 8,
        "intermediate_size": 16, "num_hidden_layers": 31, "num_attention_heads": 2,
        "num_key_value_heads": 1, "head_dim": 8,
    }  # fmt: skip
    vision = {
        "model_type": "pixtral", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "patch_size": 14, "image_size": 28,
    }  # fmt: skip
    config = transformers.Mistral3Config(text_config=text, vision_config=vision)
    return transformers.Mistral3ForConditionalGeneration(config).eval()


def ltx_vae() -> Any:
    """An autoencoder of LTX's kind: factor 32 in space, 8 in time."""
    flat = (8, 8, 8, 8)
    made = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=flat, decoder_block_out_channels=flat,
        layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 5,
    )  # fmt: skip
    return made.eval()


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "qwen": lambda: {
        "tokenizer": byte_tokenizer(),
        "text_encoder": qwen25(),
        "vae": video_vae("AutoencoderKLQwenImage"),
    },
    "flux2-klein": lambda: {
        "tokenizer": byte_tokenizer(),
        "text_encoder": qwen3(8, 28),
        "vae": flat_vae("AutoencoderKLFlux2"),
    },
    "z-image": lambda: {
        "tokenizer": byte_tokenizer(),
        "text_encoder": qwen3(24, 2),
        "vae": flat_vae("AutoencoderKL"),
    },
    "wan": umt5,
    "flux2": lambda: {
        "tokenizer": byte_tokenizer(),
        "text_encoder": mistral(),
        "vae": flat_vae("AutoencoderKLFlux2"),
    },
    "chroma": lambda: t5() | {"vae": flat_vae("AutoencoderKL")},
    "ltx": lambda: t5() | {"vae": ltx_vae()},
}


def build(name: str) -> Any:
    """A fresh pipeline; always with the same weights."""
    tiny = PIPES[name]
    longer = {"axes_lens": [800, 32, 32]} if name == "z-image" else {}  # Bytes are many tokens.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = lively(getattr(diffusers, tiny.transformer)(**(tiny.network | longer)))
        parts = PARTS[name]()
    scheduler = getattr(diffusers, tiny.scheduler)(**tiny.solver)
    pipe = getattr(diffusers, tiny.pipeline)(transformer=transformer, scheduler=scheduler, **parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def saved(folder: Path, name: str) -> Path:
    """The folder of a saved pipeline."""
    if not (folder / name).exists():
        build(name).save_pretrained(folder / name)
    return folder / name
