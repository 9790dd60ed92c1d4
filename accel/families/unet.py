"""Family `unet`: diffusers' UNet2DConditionModel (Stable Diffusion 1.x, 2.x, XL and their like)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn

from accel.families.base import Family
from accel.sites import AttentionSite, Block, Sites, Stage, Sublayer


def sites(denoiser: Any) -> Sites | None:
    """Sites of a UNet, or None if `denoiser` is not one."""
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
    attentions, blocks = _attentions(denoiser), _blocks(denoiser)
    parts = tuple(
        Sublayer(f"{site.name}.{name}", i, (kind,), getattr(site.block, name))
        for i, site in enumerate(attentions)
        for name, kind in (("attn1", "attn"), ("attn2", "cross"))
        if getattr(site.block, name) is not None
    )
    return Sites(denoiser, down, denoiser.mid_block, up, attentions, blocks, parts)


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
    """Transformer blocks, each with the level of its resolution among those that have attention."""
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
        AttentionSite(name, grid, inner, depth, resolutions.index(depth))
        for name, grid, inner, depth in found
    )


def _blocks(denoiser: UNet2DConditionModel) -> tuple[Block, ...]:
    """Residual and transformer blocks that keep the size of their feature map, in the order in
    which the parts of the network run.
    """
    found = []
    for name, module in denoiser.named_modules():
        if isinstance(module, Transformer2DModel):
            found.append(Block(name, module, lambda hidden: hidden, in_tuple=True))
        elif isinstance(module, ResnetBlock2D) and not (module.up or module.down):
            found.append(Block(name, module, _shortcut(module), in_tuple=False))
    order = {"down_blocks": 0, "mid_block": 1}
    return tuple(sorted(found, key=lambda block: order.get(block.name.split(".")[0], 2)))


def _shortcut(resnet: ResnetBlock2D) -> Callable[[Tensor], Tensor]:
    def around(hidden: Tensor) -> Tensor:
        direct = hidden if resnet.conv_shortcut is None else resnet.conv_shortcut(hidden)
        return cast(Tensor, direct / resnet.output_scale_factor)

    return around


FAMILY = Family(
    "unet", "a `unet` of class UNet2DConditionModel (Stable Diffusion 1.x, 2.x, XL)", sites
)
