"""Weights of fewer bits, written by the packages that people use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor


def gguf(tensors: Mapping[str, Tensor], path: Path, kind: str = "Q8_0", arch: str = "sd3") -> Path:
    """A GGUF file by the package `gguf`: matrices of a type, all else in float32."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, quants

    chosen = GGMLQuantizationType[kind]
    writer = GGUFWriter(str(path), arch)
    for name, tensor in tensors.items():
        value = tensor.detach().float().contiguous().numpy()
        if value.ndim == 2 and value.shape[1] % GGML_QUANT_SIZES[chosen][0] == 0:
            writer.add_tensor(name, quants.quantize(value, chosen), raw_dtype=chosen)
        else:
            writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def torchao(pipe: Any, folder: Path) -> Path:
    """The folder of a pipeline whose transformer diffusers and torchao have quantised to int8."""
    from torchao.quantization import Int8WeightOnlyConfig

    pipe.save_pretrained(folder)
    pipe.transformer = type(pipe.transformer).from_pretrained(
        folder,
        subfolder="transformer",
        quantization_config=diffusers.TorchAoConfig(Int8WeightOnlyConfig()),
        dtype=torch.float32,
    )
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    pipe.save_pretrained(folder)
    return folder


def quanto(pipe: Any, folder: Path, by: str = "diffusers", kind: str = "int8") -> Path:
    """The folder of a pipeline whose transformer is quantised by quanto.

    Args:
        pipe: pipeline; its transformer is replaced.
        folder: folder to write.
        by: what quantises and saves it: diffusers' config (`diffusers`), the package alone
            (`package`) or the package's own class of saved networks (`class`).
        kind: type of the weights.
    """
    from optimum import quanto as package

    pipe.save_pretrained(folder)
    place = folder / "transformer"
    if by == "diffusers":
        pipe.transformer = type(pipe.transformer).from_pretrained(
            place, quantization_config=diffusers.QuantoConfig(kind), dtype=torch.float32
        )
    else:
        package.quantize(pipe.transformer, weights=getattr(package, f"q{kind}"))
        package.freeze(pipe.transformer)
    (place / "diffusion_pytorch_model.safetensors").unlink()
    if by == "class":
        package.QuantizedDiffusersModel(pipe.transformer).save_pretrained(place)
    else:
        pipe.save_pretrained(folder)
    return folder
