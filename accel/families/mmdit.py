"""Family `mmdit`: Stable Diffusion 3, 3.5 and FLUX, which attend over image and text together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diffusers import FluxTransformer2DModel, SD3Transformer2DModel
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from torch import nn

from accel.families import stacks
from accel.families.base import Family
from accel.families.dit import first_channels
from accel.families.token_grids import of_ids, patches
from accel.sites import Rotary, Sites, Sublayer, TokenAttention, TokenStream

INPUTS = ("hidden_states", "encoder_hidden_states", "pooled_projections", "timestep")
FLUX_INPUTS = (*INPUTS, "img_ids", "txt_ids", "guidance")
KINDS = {"attn": "attn", "attn2": "attn", "ff": "mlp", "ff_context": "mlp"}


def sites(denoiser: Any) -> Sites | None:
    """Sites of a transformer, or None if `denoiser` is not of this family."""
    flux = isinstance(denoiser, FluxTransformer2DModel)
    if not flux and not isinstance(denoiser, SD3Transformer2DModel):
        return None
    parts = tuple(_parts(denoiser))
    stream = _stream(denoiser, flux)
    inputs = FLUX_INPUTS if flux else INPUTS
    return Sites(
        denoiser, (), None, (), (), (), parts, inputs, stream, flux, Transformer2DModelOutput,
        flow=True, stack=stacks.find_stack(denoiser),
    )  # fmt: skip


def _parts(denoiser: Any) -> Iterator[Sublayer]:
    double = list(denoiser.transformer_blocks)
    for i, block in enumerate(double):
        for name, kind in KINDS.items():
            module: nn.Module | None = getattr(block, name, None)
            if module is not None:
                text = name == "ff_context"
                place, norms = f"transformer_blocks.{i}.{name}", _norms(block, name)
                yield Sublayer(place, i, (kind,), module, text=text, norms=norms)
    for i, block in enumerate(_single(denoiser)):
        name = f"single_transformer_blocks.{i}.proj_out"
        inside = (block.attn, block.proj_mlp)
        kinds, norms = ("attn", "mlp"), (block.norm.norm,)
        yield Sublayer(name, len(double) + i, kinds, block.proj_out, inside, norms=norms)


def _norms(block: Any, name: str) -> tuple[nn.Module, ...]:
    """Norms that a part of a double block reads."""
    if name == "attn":
        return block.norm1.norm, block.norm1_context.norm
    if name == "attn2":
        return (block.norm1.norm,)
    return (block.norm2,) if name == "ff" else (block.norm2_context,)


def _single(denoiser: Any) -> list[Any]:
    return list(getattr(denoiser, "single_transformer_blocks", ()))


def _stream(denoiser: Any, flux: bool) -> TokenStream:
    rotary: Rotary = "joint" if flux else ""
    found = [
        TokenAttention(f"transformer_blocks.{i}.{name}", getattr(block, name), rotary=rotary)
        for i, block in enumerate(denoiser.transformer_blocks)
        for name in ("attn", "attn2")
        if getattr(block, name, None) is not None
    ]
    found += [
        TokenAttention(f"single_transformer_blocks.{i}.attn", block.attn, rotary="joint")
        for i, block in enumerate(_single(denoiser))
    ]
    config = denoiser.config
    return TokenStream(
        embed=denoiser.x_embedder if flux else denoiser.pos_embed,
        project=denoiser.proj_out,
        attentions=tuple(found),
        noise=lambda tokens: first_channels(tokens, denoiser.out_channels, config),
        grid=of_ids if flux else lambda given: patches(given, config.patch_size),
        conditional=0 if flux else 1,
        beside=(
            "block_controlnet_hidden_states",
            "controlnet_block_samples",
            "controlnet_single_block_samples",
        ),
    )


FAMILY = Family(
    "mmdit", "a `transformer` of class SD3Transformer2DModel or FluxTransformer2DModel", sites
)
