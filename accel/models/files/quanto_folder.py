"""Networks that were saved with weights of quanto, which diffusers writes but does not read again.

Its own loading leaves such networks without values. They are built and filled here instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors.torch import load_file

from accel.models.files import quantizing, weight_file
from accel.models.files.weight_file import Tensor
from strategies import StrategyError

DATA = ".weight._data"
MAP = "quanto_qmap.json"  # Written by the package's own saving.
# Types of weights by the types of the tensors that hold them; others are packed in ways of their
# own.
TYPES = {"I8": "qint8", "F8_E4M3": "qfloat8_e4m3fn", "F8_E5M2": "qfloat8_e5m2"}
INDEX = "model_index.json"


def read_quanto_networks(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    """The networks of a pipeline's folder that were saved so, by name.

    Args:
        folder: folder in diffusers format.
        dtype: precision that they compute in.

    Raises:
        StrategyError: the package is missing, or the files are of a form that is not known.
    """
    found = {}
    for place in sorted(one for one in folder.iterdir() if one.is_dir()):
        files = sorted(place.glob("*.safetensors"))
        try:
            tensors = {
                k: v for one in files for k, v in weight_file.read_header(one).tensors.items()
            }
        except StrategyError:
            continue  # The library that loads it says what is wrong.
        if any(name.endswith(DATA) for name in tensors):
            found[place.name] = _network(folder, place, files, tensors, dtype)
    return found


def _network(
    folder: Path,
    place: Path,
    files: list[Path],
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype,
) -> Any:
    if not quantizing.is_installed("quanto"):
        raise StrategyError(
            f"model {folder}: {place.name} has weights of quanto; pip install optimum-quanto"
        )
    from optimum import quanto

    layers = _layers(place, tensors)
    model = _fresh(folder, place).to(dtype)
    values = {key: value for one in files for key, value in load_file(one).items()}
    quanto.requantize(model, values, layers, torch.device("cpu"))
    lacking = sorted(set(model.state_dict()) - set(values))
    unknown = sorted(set(values) - set(model.state_dict()))
    for words, names in (("lacks", lacking), ("has no place for", unknown)):
        if names:
            raise StrategyError(
                f"model {folder} is not whole: {place.name} {words} {names[0]}; copy or download "
                "it again"
            )
    return model.eval()


def _layers(place: Path, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, str]]:
    """Types of each quantised layer's weights and activations, by its name."""
    if (place / MAP).is_file():
        found: dict[str, dict[str, str]] = json.loads((place / MAP).read_text(encoding="utf-8"))
        return found
    held = {name.removesuffix(DATA): one for name, one in tensors.items() if name.endswith(DATA)}
    for name, one in held.items():
        if one.dtype not in TYPES:
            raise StrategyError(
                f"{place}: {name} has quanto's weights of {one.dtype}, and {', '.join(TYPES)} are "
                "read; save the model before it is quantised, and give --quantize"
            )
    return {
        name: {"weights": TYPES[one.dtype], "activations": "none"} for name, one in held.items()
    }


def _fresh(folder: Path, place: Path) -> Any:
    """A network without its weights."""
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    library, kind = index[place.name]
    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    config.pop("quantization_config", None)
    made = getattr(transformers if library == "transformers" else diffusers, kind)
    if library == "transformers":
        return made(made.config_class.from_dict(config))
    return made.from_config(config)
