"""LoRAs of a tiny Stable Diffusion, written in every form by the programs that people use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from torch import Tensor

from tests.support.models import original_layout as original
from tests.support.pipelines.unet_pipelines import build

LAYERS = ("attn1.to_q", "attn1.to_out.0", "attn2.to_v", "ff.net.2")
RANKS = {"attn1.to_q": 2, "attn1.to_out.0": 4, "attn2.to_v": 2, "ff.net.2": 3}
ALPHAS = {"attn1.to_q": 2.0, "attn1.to_out.0": 1.0, "attn2.to_v": 4.0, "ff.net.2": 3.0}
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"


def pairs(unet: Any) -> dict[str, tuple[Tensor, Tensor, float]]:
    """Two matrices and the scale of each layer, several ranks and scales."""
    torch.manual_seed(1)
    found = {}
    for name in LAYERS:
        layer, rank = unet.get_submodule(f"{BLOCK}.{name}"), RANKS[name]
        down, up = torch.randn(rank, layer.in_features), torch.randn(layer.out_features, rank)
        found[f"{BLOCK}.{name}"] = down * 0.3, up * 0.3, ALPHAS[name] / rank
    return found


def merged(weight: float = 1.0) -> Any:
    """The pipeline with the products added to its weights by hand."""
    pipe = build("sd1")
    with torch.no_grad():
        for name, (down, up, scale) in pairs(pipe.unet).items():
            pipe.unet.get_submodule(name).weight += weight * scale * up @ down
    return pipe


def kohya(unet: Any) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, (down, up, scale) in pairs(unet).items():
        key = f"lora_unet_{name.replace('.', '_')}"
        found |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
        found[f"{key}.alpha"] = torch.tensor(scale * len(down))
    return found


def own(unet: Any, prefix: str = "unet.") -> dict[str, Tensor]:
    """Names of diffusers, the scale in the weights."""
    found: dict[str, Tensor] = {}
    for name, (down, up, scale) in pairs(unet).items():
        found |= {
            f"{prefix}{name}.lora_A.weight": down,
            f"{prefix}{name}.lora_B.weight": up * scale,
        }
    return found


def by_peft(target: Path) -> Path:
    """A folder as PEFT saves it, its scales in adapter_config.json."""
    unet = build("sd1").unet
    names = {f"{BLOCK}.{name}" for name in LAYERS}
    chosen = LoraConfig(
        r=2,
        lora_alpha=2,
        target_modules=sorted(names),
        rank_pattern={name: RANKS[name.removeprefix(f"{BLOCK}.")] for name in names},
        alpha_pattern={name: ALPHAS[name.removeprefix(f"{BLOCK}.")] for name in names},
    )
    wrapped = get_peft_model(unet, chosen)
    with torch.no_grad():
        for name, (down, up, _) in pairs(build("sd1").unet).items():
            layer: Any = wrapped.get_submodule(f"base_model.model.{name}")
            layer.lora_A["default"].weight.copy_(down)
            layer.lora_B["default"].weight.copy_(up)
    wrapped.save_pretrained(str(target))
    return target


def by_diffusers(target: Path) -> Path:
    """A file as diffusers saves it, its scales in the header's notes."""
    pipe = build("sd1")
    names = sorted(f"{BLOCK}.{name}" for name in LAYERS)
    chosen = LoraConfig(r=2, lora_alpha=5, target_modules=names)
    pipe.unet.add_adapter(chosen)
    with torch.no_grad():
        for name, value in pipe.unet.named_parameters():
            if "lora_" in name:
                value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(3)))
    pipe.save_lora_weights(
        target,
        unet_lora_layers=get_peft_model_state_dict(pipe.unet),
        unet_lora_adapter_metadata=chosen.to_dict(),
    )
    return target


def files(target: Path) -> Iterator[tuple[str, Path]]:
    unet = build("sd1").unet
    yield "kohya", original.write(kohya(unet), target / "kohya.safetensors")
    yield "diffusers", original.write(own(unet), target / "own.safetensors")
    yield "bare", original.write(own(unet, ""), target / "bare.safetensors")
    yield "peft", by_peft(target / "peft")
