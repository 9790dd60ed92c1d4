"""Paths of the image's tokens through the transformers of diffusers, for methods that select some.

Such a method needs to know where tokens are embedded and projected, which attentions mix them, and
how these learn their tokens' positions. `STREAMS` has that for each class; a test compares partial
calls of each with all tokens running on old keys and values. Tokens can be left out where nothing
but softmax attention mixes them and where the image's tokens come last in their sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from accel.families.token_grids import Given, of_ids, of_shapes, patches, volume
from accel.sites import Grid, Rotary, TokenAttention, TokenStream
from accel.stack import BlockList, numbered


@dataclass(frozen=True)
class StreamLayout:
    """Path of the image's tokens through a kind of transformer.

    Attributes:
        embed: name of the module that makes tokens.
        grid: function from a model to the function that reads its grid of tokens.
        rotary: form in which attentions get positions.
        beside: names of arguments with tensors that are added to tokens.
        refused: function from a model to the reason why it is not followed, or to nothing.
    """

    embed: str
    grid: Callable[[Any], Callable[[Given], Grid]]
    rotary: Rotary = ""
    beside: tuple[str, ...] = ()
    refused: Callable[[Any], str] = lambda model: ""


IDS = StreamLayout(
    "x_embedder",
    lambda model: of_ids,
    "joint",
    ("controlnet_block_samples", "controlnet_single_block_samples"),
)
STREAMS: Mapping[str, StreamLayout] = {
    **{
        f"{name}Transformer2DModel": IDS
        for name in ("Bria", "Chroma", "Flux2", "LongCatImage", "OvisImage")
    },
    "QwenImageTransformer2DModel": StreamLayout(
        "img_in",
        lambda model: of_shapes,
        "apart",
        ("controlnet_block_samples",),
        lambda model: (
            "tokens of its reference images have a time of their own"
            if model.config.zero_cond_t
            else ""
        ),
    ),
    "WanTransformer3DModel": StreamLayout(
        "patch_embedding", lambda model: volume(model.config.patch_size), "whole"
    ),
    "AuraFlowTransformer2DModel": StreamLayout(
        "pos_embed", lambda model: lambda given: patches(given, model.config.patch_size)
    ),
}
# Attentions over the image's tokens; others read the text alone.
ATTENTIONS = ("attn", "attn1")
PACKED = "to_qkv_mlp_proj"
REASONS: Mapping[str, str] = {
    "ZImageTransformer2DModel": "the image's tokens are padded and come before those of the text",
    "SanaTransformer2DModel": "linear attention and convolutions mix its tokens",
    "SanaVideoTransformer3DModel": "linear attention and convolutions mix its tokens",
    "HiDreamImageTransformer2DModel": "each token chooses its experts, and text is added per block",
}


def find_token_stream(denoiser: Any, stack: Sequence[BlockList]) -> TokenStream | None:
    """Path of the image's tokens through a transformer, or None where it is not known."""
    layout = STREAMS.get(type(denoiser).__name__)
    if layout is None or layout.refused(denoiser):
        return None
    found = tuple(
        TokenAttention(f"{block.name}.{name}", attention, layout.rotary, hasattr(attention, PACKED))
        for block in numbered(stack)
        for name in ATTENTIONS
        if isinstance(attention := getattr(block.module, name, None), nn.Module)
    )
    return TokenStream(
        embed=getattr(denoiser, layout.embed),
        project=denoiser.proj_out,
        attentions=found,
        noise=lambda tokens: tokens,
        grid=layout.grid(denoiser),
        beside=layout.beside,
    )


def why_no_path(denoiser: Any) -> str:
    """Reason why the path of the tokens through a transformer is not known, if there is one."""
    name = type(denoiser).__name__
    layout = STREAMS.get(name)
    return layout.refused(denoiser) if layout is not None else REASONS.get(name, "")
