"""Files of LoRAs, brought into the form that diffusers reads rightly.

diffusers gives every layer of a file the commonest scale of that file, and reads nothing at all
from files of PEFT's own form. So each layer's scale is multiplied into its weights here, and names
get the prefix of the part that they belong to.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from accel.models.files import weight_file
from accel.models.sources import refuse_executed
from strategies import StrategyError

NAMES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
PEFT = "base_model.model."
SETTINGS = "adapter_config.json"
OWN_PREFIXES = ("unet.", "transformer.", "text_encoder", "lora_", "diffusion_model.")
DOWN = re.compile(r"^(.*?)\.(lora_down|lora_A|lora\.down|lora_linear_layer\.down)\.weight$")
UP = {
    "lora_down": "lora_up",
    "lora_A": "lora_B",
    "lora.down": "lora.up",
    "lora_linear_layer.down": "lora_linear_layer.up",
}
# Other ways to change a layer, by marks in their names.
OTHERS = {
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "hada_w": "LoHa",
    "lokr_w": "LoKr",
    "lora_mid": "LoCon with a middle matrix",
    ".diff": "full difference",
}


def find_lora_file(path: str) -> Path:
    """The safetensors file that a path names: itself, or the one of a folder.

    Raises:
        StrategyError: there is none, or a folder has several.
    """
    refuse_executed(path)
    place = Path(path)
    if place.is_file():
        return place
    if not place.is_dir():
        raise StrategyError(f"--lora {path}: no such file or folder")
    for name in NAMES:
        if (place / name).is_file():
            return place / name
    files = sorted(place.glob("*.safetensors"))
    if len(files) != 1:
        raise StrategyError(
            f"--lora {path}: the folder has {len(files) or 'no'} .safetensors files; give the file"
        )
    return files[0]


def read_lora(path: str, denoiser: str) -> tuple[dict[str, Tensor], int]:
    """Weights of a LoRA with every layer's scale in them, and the number of its layers.

    Args:
        path: file or folder.
        denoiser: name of the denoiser in the pipeline, for files that do not name the part.

    Raises:
        StrategyError: it is no LoRA, is cut, or is of a form that is not applied rightly.
    """
    place = find_lora_file(path)
    header = weight_file.read_header(place)
    for mark, name in OTHERS.items():
        if any(mark in key for key in header.keys):
            raise StrategyError(
                f"--lora {path} is a {name}, which diffusers does not apply as it is meant; merge "
                "it into the model with the program that made it"
            )
    try:
        tensors = load_file(place)
    except (OSError, SafetensorError) as error:
        raise StrategyError(f"--lora {path}: cannot be read: {error}") from None
    settings = _settings(place, header.notes)
    tensors = {key.replace(".default.", "."): value for key, value in tensors.items()}
    pairs = {match[1]: match[2] for key in tensors if (match := DOWN.match(key))}
    if not pairs:
        raise StrategyError(
            f"--lora {path} has no layer of a LoRA (its first tensor is {min(tensors)})"
        )
    for layer, kind in pairs.items():
        up = f"{layer}.{UP[kind]}.weight"
        if up not in tensors:
            raise StrategyError(f"--lora {path}: {up} is missing; give the whole file")
        rank = len(tensors[f"{layer}.{kind}.weight"])
        scale = _scale(layer, rank, tensors, settings)
        if scale != 1:
            tensors[up] = (tensors[up].float() * scale).to(tensors[up].dtype)
    kept = {key: value for key, value in tensors.items() if not key.endswith(".alpha")}
    return {_named(key, denoiser): value for key, value in kept.items()}, len(pairs)


def _settings(place: Path, notes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the layers' scales: PEFT's file beside it, or diffusers' note in it."""
    try:
        beside = place.with_name(SETTINGS)
        if beside.is_file():
            found = json.loads(beside.read_text(encoding="utf-8"))
        else:
            found = json.loads(notes.get("lora_adapter_metadata", "{}"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        raise StrategyError(f"{place}: the settings of its scales cannot be read") from None


def _scale(
    layer: str, rank: int, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> float:
    """Factor on what a layer adds: alpha / rank, or 1 without an alpha."""
    alpha = tensors.get(f"{layer}.alpha")
    if alpha is not None:
        return float(alpha) / rank
    part = layer.split(".")[0]
    for prefix in ("", f"{part}."):  # diffusers notes the settings of each part under its name.
        usual = settings.get(f"{prefix}lora_alpha")
        if usual is None:
            continue
        own = settings.get(f"{prefix}alpha_pattern") or {}
        name = layer.removeprefix(PEFT).removeprefix(f"{part}." if prefix else "")
        value = next((v for k, v in own.items() if name == k or name.endswith(f".{k}")), usual)
        rooted = settings.get(f"{prefix}use_rslora", False)
        return float(value) / (math.sqrt(rank) if rooted else rank)
    return 1.0


def _named(key: str, denoiser: str) -> str:
    """A name with the prefix of its part."""
    if key.startswith(PEFT):
        key = key.removeprefix(PEFT)
    return key if key.startswith(OWN_PREFIXES) else f"{denoiser}.{key}"
