"""Loading of a pipeline from one weight file and its base.

diffusers reads such files, but passes over some of their faults without a word: a base with fewer
layers, scales of 8-bit weights, weights for an input that the base does not have. They are looked
for here, and refused or mended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import diffusers
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from accel.models import integrity, notes
from accel.models.files import autoencoder, finishing, weight_file
from accel.models.files import base as bases
from accel.models.files.base import Base
from accel.models.files.layouts import DENOISER, INPUT_SCALES, SCALES, SD1, SD2, Layout, layout
from strategies import StrategyError
from zoo.versions.precision import precision_argument

SHOWN = 3
# Widths of the published models, with the heads that their networks were trained with.
HEADS = {(SD1.name, 320): 8, (SD2.name, 320): [5, 10, 20, 20]}
FAULTS = (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError)


def load_single_file(
    path: str,
    base: str,
    dtype: torch.dtype,
    download: bool = False,
    vae: str = "",
) -> Any:
    """The pipeline of a file of a whole model, or of a denoiser alone on the parts of its base.

    Args:
        path: .safetensors or .gguf file.
        base: see `accel.models.files.base.find_base`.
        dtype: precision of the weights.
        download: whether what is missing may be fetched from the hub.
        vae: another autoencoder; see `accel.models.files.autoencoder`.

    Raises:
        StrategyError: the file is incomplete, does not fit its base, or the base is not here.
    """
    found = layout(weight_file.read_header(path))
    there = bases.find_base(found, base, download, ["vae"] if vae else [])
    _check_fit(found, there)
    notes.tell(_line(found, there, vae))
    kind = getattr(diffusers, there.kind)
    ready: dict[str, Any] = {
        part: None
        for part in bases.OPTIONAL
        if part in there.index and not (there.folder / part).is_dir()
    }
    if vae:
        ready["vae"] = autoencoder.load_autoencoder(vae, there.config("vae"), dtype, download)
    own: dict[str, Any] = {"local_files_only": True, **precision_argument(dtype)}
    denoiser = "unet" if "unet" in found.parts else "transformer"
    with integrity.watched() as loaded, _explained(found, there):
        if found.is_alone or found.scaled:
            ready[denoiser] = _denoiser(found, there, denoiser, dtype)
        missing = bases.networks(there, found.parts | set(ready))
        if found.is_alone or missing:
            others = set(bases.networks(there)) - set(missing) - set(ready)
            left_out = dict.fromkeys(others)
            rest = kind.from_pretrained(
                str(there.folder), use_safetensors=True, **own, **ready, **left_out
            )
            if found.is_alone:
                integrity.check_complete(path, rest, loaded)
                return rest
            ready |= {part: rest.components[part] for part in missing}
        pipe = kind.from_single_file(path, config=str(there.folder), **own, **ready)
    finishing.finish_pipeline(pipe, found)
    integrity.check_complete(path, pipe, loaded)
    return pipe


def _line(found: Layout, base: Base, vae: str) -> str:
    """Line for people: the parts of the file that are used, and where the others come from."""
    kind = found.architecture.name if found.architecture else base.kind
    types = ", ".join(found.file.precisions(found.prefix)[:2])
    parts = sorted(found.parts - ({"vae"} if vae else set()))
    ema = "; its averaged (EMA) weights are not used" if found.has_ema else ""
    scaled = "; its 8-bit weights are multiplied by their scales" if found.scaled else ""
    other = f", the autoencoder from {vae}" if vae else ""
    return (
        f"{found.file.path}: {kind}, {types}; {', '.join(parts)} from the file{ema}{scaled}; the "
        f"rest from {base.name}{other}"
    )


@contextmanager
def _explained(found: Layout, base: Base) -> Iterator[None]:
    """Turn what diffusers raises about a file into one line."""
    component = diffusers.loaders.single_file_utils.SingleFileComponentError
    try:
        yield
    except StrategyError:
        raise
    except (*FAULTS, SafetensorError, component) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "meta tensor" in reason:
            reason = "some of its weights are missing"
        raise StrategyError(
            f"{found.file.path} is not whole, or does not fit the base {base.name}: "
            f"{reason[:200]}; give the whole file and the base of its own model by --base"
        ) from None


def _check_fit(found: Layout, base: Base) -> None:
    """Refuse a base that would change the images without an error.

    Raises:
        StrategyError: says what differs.
    """
    denoiser = "unet" if "unet" in found.parts else "transformer"
    if denoiser not in base.parts:
        raise StrategyError(
            f"{found.file.path} has a {denoiser}, and --base {base.name} is a {base.kind} without "
            "one; give the base of its own model"
        )
    config = base.config(denoiser)
    for name, mine, theirs in _differences(found, config, base):
        raise StrategyError(
            f"{found.file.path} has {mine} {name}, and --base {base.name} has {theirs}; give the "
            "base of its own model"
        )


def _differences(
    found: Layout, config: dict[str, Any], base: Base
) -> Iterator[tuple[str, Any, Any]]:
    tensors, prefix = found.file.tensors, found.prefix
    first = tensors.get(f"{prefix}input_blocks.0.0.weight")
    if first is not None and found.architecture is not None:
        width, channels = first.shape[:2]
        if channels != config.get("in_channels", channels):
            yield "input channels", channels, config["in_channels"]
        if channels == 9 and "Inpaint" not in base.kind:
            yield "input channels, those of an inpainting model,", channels, f"a {base.kind}"
        heads = HEADS.get((found.architecture.name, width))
        if heads is not None and heads != config.get("attention_head_dim", heads):
            yield "attention heads", heads, config["attention_head_dim"]
    if "guidance_embeds" in config and found.original:
        guided = any(key.startswith(f"{prefix}guidance_in.") for key in tensors)
        if guided != config["guidance_embeds"]:
            words = {True: "an embedding of guidance", False: "no embedding of guidance"}
            yield "(FLUX.1-dev has one, -schnell none)", words[guided], words[not guided]
    for part in found.parts:
        if part.startswith("text_encoder"):
            mine, theirs = _layers(found, part), base.config(part).get("num_hidden_layers")
            # Stable Diffusion 2 leaves the last layer of its text encoder out.
            spare = 1 if found.architecture is SD2 else 0
            if mine and theirs is not None and not mine - spare <= theirs <= mine:
                yield f"layers of {part}", mine, theirs


def _layers(found: Layout, part: str) -> int:
    """Layers of a text encoder in the file; 0 if its names do not count them."""
    assert found.architecture is not None
    root = found.architecture.encoders[part]
    for end, inner in (
        ("text_model.embeddings.position_embedding.weight", "text_model.encoder.layers."),
        ("token_embedding.weight", "transformer.resblocks."),
        ("positional_embedding", "transformer.resblocks."),
    ):
        if root.endswith(end):
            start = root.removesuffix(end) + inner
            return len(
                {k[len(start) :].split(".")[0] for k in found.file.keys if k.startswith(start)}
            )
    return 0


def _denoiser(found: Layout, base: Base, part: str, dtype: torch.dtype) -> Any:
    """The denoiser of a file on its own."""
    kind, path = getattr(diffusers, base.parts[part]), str(found.file.path)
    if not hasattr(kind, "from_single_file"):
        raise StrategyError(
            f"{path}: diffusers reads no single file of {kind.__name__}; give the model as a "
            "folder in diffusers format"
        )
    own: dict[str, Any] = {
        "config": str(base.folder),
        "subfolder": part,
        "local_files_only": True,
        **precision_argument(dtype),
    }
    if path.lower().endswith(".gguf"):
        return _of_gguf(kind, path, dtype, own)
    tensors = _tensors(found, dtype)
    if not found.original:
        _check_keys(found, kind, base.config(part), tensors)
    elif part == "unet":
        tensors = {f"{DENOISER}{name}": value for name, value in tensors.items()}
    return kind.from_single_file(tensors, **own)


def _of_gguf(kind: Any, path: str, dtype: torch.dtype, own: dict[str, Any]) -> Any:
    if find_spec("gguf") is None:
        raise StrategyError(f"{path}: GGUF files need the package gguf; pip install gguf")
    chosen = diffusers.GGUFQuantizationConfig(compute_dtype=dtype)
    return kind.from_single_file(path, quantization_config=chosen, **own)


def _tensors(found: Layout, dtype: torch.dtype) -> dict[str, Tensor]:
    """Tensors of the denoiser by their own names, 8-bit ones multiplied by their scales."""
    prefix = found.prefix
    every = load_file(found.file.path)
    values = {k[len(prefix) :]: v for k, v in every.items() if k.startswith(prefix)}
    scales = {
        f"{k.removesuffix(end)}.weight": k for k in values for end in SCALES if k.endswith(end)
    }
    for name, scale in scales.items():
        if name in values:
            values[name] = _unscaled(found, name, values[name], values[scale], dtype)
    dropped = (*SCALES, *INPUT_SCALES)
    return {k: v for k, v in values.items() if not k.endswith(dropped) and k != "scaled_fp8"}


def _unscaled(
    found: Layout, name: str, weight: Tensor, scale: Tensor, dtype: torch.dtype
) -> Tensor:
    """A weight multiplied by its scale: one of the whole, or one of each row."""
    rows = scale.float().reshape(-1)
    if (
        weight.dtype.itemsize != 1
        or not weight.is_floating_point()
        or len(rows)
        not in (
            1,
            len(weight),
        )
    ):
        raise StrategyError(
            f"{found.file.path}: {name} has {tuple(scale.shape)} scales of {weight.dtype}, a form "
            "that is not known; give the file in fp16, bf16 or GGUF"
        )
    return (weight.float() * rows.reshape(-1, *[1] * (weight.ndim - 1))).to(dtype)


def _check_keys(
    found: Layout, kind: Any, config: dict[str, Any], tensors: dict[str, Tensor]
) -> None:
    """Refuse a file under diffusers' names that has not exactly the weights of its class."""
    with torch.device("meta"):
        own = set(kind.from_config(config).state_dict())
    for words, names in (("lacks", own - set(tensors)), ("has no place for", set(tensors) - own)):
        if names:
            some, more = sorted(names)[:SHOWN], len(names) - SHOWN
            text = ", ".join(some) + (f" and {more} more" if more > 0 else "")
            whole = f"{found.file.path} {words} {text}"
            if words != "lacks":
                whole = f"{kind.__name__} of --base {words} {text} of {found.file.path}"
            raise StrategyError(f"{whole}; give the base of its own model, or the whole file")
