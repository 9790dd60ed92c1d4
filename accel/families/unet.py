"""Family `unet`: diffusers' UNet2DConditionModel (Stable Diffusion 1.x, 2.x, XL and their like)."""

from __future__ import annotations

from typing import Any

from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from torch import nn

from accel.sites import AttentionSite, Sites, Stage

SUPPORTED = "a `unet` of class UNet2DConditionModel (Stable Diffusion 1.x, 2.x, XL)"


def sites(denoiser: Any) -> Sites | None:
    """The sites of a UNet, or None where `denoiser` is not one."""
    if not isinstance(denoiser, UNet2DConditionModel):
        return None
    down = tuple(
        Stage(f"down_blocks.{i}", block, _layers(block, "downsamplers"))
        for i, block in enumerate(denoiser.down_blocks)
    )
    up = tuple(
        Stage(f"up_blocks.{i}", block, _layers(block, None))
        for i, block in enumerate(denoiser.up_blocks)
    )
    return Sites(denoiser, down, denoiser.mid_block, up, _attentions(denoiser))


def _layers(block: nn.Module, tail: str | None) -> tuple[tuple[nn.Module, ...], ...]:
    resnets = list(getattr(block, "resnets", []))
    attentions = list(getattr(block, "attentions", None) or [])
    layers = [
        (resnet, attentions[i]) if i < len(attentions) else (resnet,)
        for i, resnet in enumerate(resnets)
    ]
    layers += [(module,) for module in (getattr(block, tail, None) or [])] if tail else []
    return tuple(layers)


def _attentions(denoiser: UNet2DConditionModel) -> tuple[AttentionSite, ...]:
    """Transformer blocks with the level of their resolution among those that have attention."""
    last = len(denoiser.down_blocks) - 1
    places = [(f"down_blocks.{i}", b, i) for i, b in enumerate(denoiser.down_blocks)]
    if denoiser.mid_block is not None:
        places.append(("mid_block", denoiser.mid_block, last))
    places += [(f"up_blocks.{i}", b, last - i) for i, b in enumerate(denoiser.up_blocks)]
    found = []
    for prefix, block, depth in places:
        for i, transformer in enumerate(getattr(block, "attentions", None) or []):
            for j, inner in enumerate(getattr(transformer, "transformer_blocks", [])):
                if isinstance(inner, BasicTransformerBlock):
                    name = f"{prefix}.attentions.{i}.transformer_blocks.{j}"
                    found.append((name, transformer, inner, depth))
    resolutions = sorted({depth for *_, depth in found})
    return tuple(
        AttentionSite(name, grid, inner, resolutions.index(depth))
        for name, grid, inner, depth in found
    )
