"""Arguments of calls of tiny pipelines: embeddings in place of prompts, and pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

Given = Callable[[int, int], dict[str, Any]]


def rows(batch: int, seed: int, *shape: int) -> torch.Tensor:
    """Random numbers for each image of a batch, those of image `i` from `seed + i`."""
    seeds = [torch.Generator().manual_seed(seed + i) for i in range(batch)]
    return torch.stack([torch.randn(shape, generator=one) for one in seeds])


def embeds(
    width: int,
    tokens: int = 5,
    guided: bool = True,
    mask: str = "",
    kind: torch.dtype = torch.float32,
) -> Given:
    """Arguments with embeddings of prompts `[batch, tokens, width]`.

    Args:
        guided: with those of negative prompts beside them.
        mask: name of the argument that has a mask of them, if there is one.
        kind: of its numbers.
    """

    def given(batch: int, seed: int) -> dict[str, Any]:
        found: dict[str, Any] = {"prompt_embeds": rows(batch, 100 + seed, tokens, width)}
        if guided:
            found["negative_prompt_embeds"] = rows(1, 99, tokens, width).repeat(batch, 1, 1)
        if mask:
            ones = torch.ones(batch, tokens, dtype=kind)
            found |= {mask: ones} | ({f"negative_{mask}": ones} if guided else {})
        return found

    return given


def z_embeds(batch: int, seed: int) -> dict[str, Any]:
    """Z-Image takes lists."""
    return {
        "prompt_embeds": list(rows(batch, 100 + seed, 5, 24)),
        "negative_prompt_embeds": list(rows(1, 99, 7, 24)) * batch,
    }


def two_encoders(batch: int, seed: int) -> dict[str, Any]:
    """HunyuanDiT has embeddings of two encoders, with a mask of each."""
    found = embeds(24, mask="prompt_attention_mask")(batch, seed)
    return found | {f"{name}_2": value for name, value in found.items()}


def pooled(batch: int, seed: int) -> dict[str, Any]:
    """HunyuanVideo has one embedding of the whole prompt beside those of its tokens."""
    found = embeds(24, guided=False, mask="prompt_attention_mask")(batch, seed)
    return found | {"pooled_prompt_embeds": rows(batch, 300 + seed, 12)}


def kandinsky(batch: int, seed: int) -> dict[str, Any]:
    """Kandinsky 5 has embeddings of two encoders, and where each prompt's begin."""
    ends = torch.arange(batch + 1, dtype=torch.int32) * 5
    return {
        "prompt_embeds_qwen": rows(batch, 100 + seed, 5, 24),
        "prompt_embeds_clip": rows(batch, 300 + seed, 12),
        "negative_prompt_embeds_qwen": rows(1, 99, 5, 24).repeat(batch, 1, 1),
        "negative_prompt_embeds_clip": rows(1, 98, 12).repeat(batch, 1),
        "prompt_cu_seqlens": ends,
        "negative_prompt_cu_seqlens": ends,
    }


def picture(seed: int = 0) -> Image.Image:
    """A picture of noise in the size that is drawn."""
    noise = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def with_image(given: Given, name: str = "image") -> Given:
    """Arguments with one picture beside them."""
    return lambda batch, seed: given(batch, seed) | {name: picture()}
