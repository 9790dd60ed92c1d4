"""Another autoencoder for a model, such as a small one that decodes faster."""

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
PART = "vae"


def load_autoencoder(
    source: str, own: Mapping[str, Any], dtype: torch.dtype, download: bool = False
) -> Any:
    """An autoencoder that takes the latents of a model.

    Args:
        source: folder in diffusers format, of the autoencoder or of a pipeline with one; a hub id;
            or a safetensors file of an `AutoencoderKL`.
        own: settings of the model's own autoencoder.
        dtype: precision of the weights.
        download: whether it may be fetched from the hub.

    Raises:
        StrategyError: it cannot be loaded, or is for other latents.
    """
    refuse_executed(source)
    try:
        found = (
            _file(source, own, dtype)
            if Path(source).is_file()
            else _folder(source, dtype, download)
        )
    except StrategyError:
        raise
    except (*FAULTS, SafetensorError, _component()) as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
        hint = "" if download or Path(source).exists() else "; pass --download to ask the hub"
        raise StrategyError(f"--vae {source}: cannot be loaded: {reason}{hint}") from None
    if any(one.is_meta for one in found.parameters()):
        raise StrategyError(f"--vae {source}: some of its weights are missing; give the whole file")
    _check(source, found.config, own)
    return found


def _component() -> type[Exception]:
    kind: type[Exception] = diffusers.loaders.single_file_utils.SingleFileComponentError
    return kind


def _file(source: str, own: Mapping[str, Any], dtype: torch.dtype) -> Any:
    weight_file.read_header(source)
    if own.get("_class_name", "AutoencoderKL") != "AutoencoderKL":
        raise StrategyError(
            f"--vae {source}: a single file is read as AutoencoderKL, and the model's is "
            f"{own['_class_name']}; give a folder in diffusers format"
        )
    with tempfile.TemporaryDirectory() as folder:
        settings = {key: value for key, value in own.items() if value is not None}
        settings = {"_class_name": "AutoencoderKL"} | settings
        (Path(folder) / "config.json").write_text(json.dumps(settings, default=str), "utf-8")
        return diffusers.AutoencoderKL.from_single_file(
            source, config=folder, local_files_only=True, **precision_argument(dtype)
        )


def _folder(source: str, dtype: torch.dtype, download: bool) -> Any:
    own: dict[str, Any] = {"local_files_only": Path(source).is_dir() or not download}
    if (Path(source) / PART / "config.json").is_file():
        own["subfolder"] = PART
    config = diffusers.AutoencoderKL.load_config(source, **own)
    name = str(config.get("_class_name", "AutoencoderKL"))
    kind = getattr(diffusers, name, None)
    if kind is None or not name.startswith("Autoencoder"):
        raise StrategyError(f"--vae {source}: holds a {name}, no autoencoder")
    return kind.from_pretrained(source, use_safetensors=True, **precision_argument(dtype), **own)


def _check(source: str, mine: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse an autoencoder of other latents."""
    for words, pair in (
        ("latent channels", (mine.get("latent_channels"), own.get("latent_channels"))),
        ("times smaller latents", (_shrinks(mine), _shrinks(own))),
    ):
        if None not in pair and pair[0] != pair[1]:
            raise StrategyError(
                f"--vae {source}: has {pair[0]} {words}, and the model's own has {pair[1]}; give "
                "an autoencoder of this kind of model"
            )


def _shrinks(config: Mapping[str, Any]) -> int | None:
    blocks = config.get("block_out_channels")
    return None if blocks is None else 2 ** (len(blocks) - 1)
