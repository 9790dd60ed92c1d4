"""ControlNets: networks that steer a denoiser by an image beside the prompt."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors import SafetensorError

from accel.models.files import weight_file
from accel.models.sources import refuse_executed
from strategies import StrategyError
from zoo.versions.precision import precision_argument

FAULTS = (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError)
KINDS = ("ControlNetModel", "FluxControlNetModel", "SD3ControlNetModel")
# Settings that a ControlNet shares with the denoiser whose blocks it adds to.
SHARED = (
    *("cross_attention_dim", "block_out_channels", "addition_embed_type"),
    *("joint_attention_dim", "num_attention_heads", "attention_head_dim"),
)


def add(pipe: Any, source: str, dtype: torch.dtype, download: bool = False) -> Any:
    """The pipeline of a model and a ControlNet, on the same networks.

    Args:
        pipe: text-to-image pipeline.
        source: folder in diffusers format, hub id, or safetensors file of a ControlNet for a UNet.
        dtype: precision of the weights.
        download: whether it may be fetched from the hub.

    Raises:
        StrategyError: it cannot be loaded, is of another kind of model, or diffusers has no
            pipeline for it.
    """
    refuse_executed(source)
    denoiser = getattr(pipe, "unet", None) or pipe.transformer
    component = diffusers.loaders.single_file_utils.SingleFileComponentError
    try:
        if Path(source).is_file():
            found = _file(source, denoiser, dtype)
        else:
            found = _folder(source, dtype, download)
    except StrategyError:
        raise
    except (*FAULTS, SafetensorError, component) as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
        hint = "" if download or Path(source).exists() else "; pass --download to ask the hub"
        raise StrategyError(f"--controlnet {source}: cannot be loaded: {reason}{hint}") from None
    if any(one.is_meta for one in found.parameters()):
        raise StrategyError(
            f"--controlnet {source}: some of its weights are missing; give the whole file"
        )
    _check(source, found.config, denoiser)
    return _together(pipe, source, found)


def _file(source: str, unet: Any, dtype: torch.dtype) -> Any:
    """A ControlNet of a single file; its settings are those of the UNet."""
    header = weight_file.read_header(source)
    if not header.has("control_model.") and not header.has("controlnet_"):
        raise StrategyError(
            f"--controlnet {source}: has no tensor of a ControlNet (its first is "
            f"{min(header.keys)}); give a ControlNet"
        )
    if not hasattr(unet, "down_blocks"):
        raise StrategyError(
            f"--controlnet {source}: single files are read for UNets, and the model has a "
            f"{type(unet).__name__}; give a folder in diffusers format"
        )
    with torch.device("meta"):
        fresh = diffusers.ControlNetModel.from_unet(
            unet, **_hint(header), load_weights_from_unet=False
        )
    with tempfile.TemporaryDirectory() as folder:
        settings = {"_class_name": "ControlNetModel"} | dict(fresh.config)
        (Path(folder) / "config.json").write_text(json.dumps(settings, default=str), "utf-8")
        return diffusers.ControlNetModel.from_single_file(
            source, config=folder, local_files_only=True, **precision_argument(dtype)
        )


def _hint(header: weight_file.WeightFile) -> dict[str, Any]:
    """Widths of the layers that read the image, as the file has them."""
    theirs = [f"control_model.input_hint_block.{number}" for number in (0, 4, 8, 12)]
    own = [
        f"controlnet_cond_embedding.{one}"
        for one in ("conv_in", *map("blocks.{}".format, (1, 3, 5)))
    ]
    for names in (theirs, own):
        there = [f"{name}.weight" for name in names if f"{name}.weight" in header.keys]
        if there:
            widths = tuple(header.tensors[name].shape[0] for name in there)
            return {"conditioning_embedding_out_channels": widths}
    return {}


def _folder(source: str, dtype: torch.dtype, download: bool) -> Any:
    own: dict[str, Any] = {"local_files_only": Path(source).is_dir() or not download}
    config = diffusers.ControlNetModel.load_config(source, **own)
    name = str(config.get("_class_name"))
    if name not in KINDS:
        raise StrategyError(
            f"--controlnet {source}: holds a {name}, and {', '.join(KINDS)} can be used; give one "
            "of these"
        )
    kind = getattr(diffusers, name)
    return kind.from_pretrained(source, use_safetensors=True, **precision_argument(dtype), **own)


def _check(source: str, mine: Mapping[str, Any], denoiser: Any) -> None:
    """Refuse a ControlNet whose outputs do not fit the denoiser's blocks."""
    for name in SHARED:
        pair = [_plain(config.get(name)) for config in (mine, denoiser.config)]
        if name in mine and name in denoiser.config and pair[0] != pair[1]:
            raise StrategyError(
                f"--controlnet {source} is of another kind of model: {name} {pair[0]}, and that of "
                f"the model is {pair[1]}; give a ControlNet of this kind of model"
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def _together(pipe: Any, source: str, network: Any) -> Any:
    try:
        made = diffusers.AutoPipelineForText2Image.from_pipe(pipe, controlnet=network)
    except ValueError:
        made = None
    if made is None or "controlnet" not in made.components:
        raise StrategyError(
            f"--controlnet {source}: diffusers has no pipeline of {type(pipe).__name__} with a "
            "ControlNet; leave it out"
        )
    return made
