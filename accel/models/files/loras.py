"""Adding of LoRAs to a pipeline; the layers that they change are counted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import diffusers
from torch import nn

from accel.models.files import lora_files
from accel.models.parts import Lora
from strategies import StrategyError

FAULTS = (ValueError, LookupError, RuntimeError, TypeError, AttributeError)


def add(pipe: Any, loras: Sequence[Lora]) -> list[str]:
    """Add LoRAs to a pipeline, or add their products to its weights.

    Args:
        pipe: loaded pipeline.
        loras: LoRAs, with their weights.

    Returns:
        Lines for people: how many layers each changes.

    Raises:
        StrategyError: the pipeline takes none, or no layer of one fits.
    """
    if not loras:
        return []
    if find_spec("peft") is None:
        raise StrategyError("--lora needs the package peft; pip install peft")
    kind = type(pipe).__name__
    if not hasattr(pipe, "load_lora_weights"):
        raise StrategyError(
            f"--lora: {kind} of diffusers takes no LoRA; wrap its denoiser by "
            "peft.get_peft_model in a function of yours, and give module:function as --model"
        )
    denoiser = "unet" if getattr(pipe, "unet", None) is not None else "transformer"
    told, names = list[str](), list[str]()
    for number, one in enumerate(loras, 1):
        name = f"lora_{number}"
        tensors, layers = lora_files.read_lora(one.path, denoiser)
        try:
            with _without_log():
                pipe.load_lora_weights(tensors, adapter_name=name)
        except FAULTS as error:
            raise StrategyError(_unfit(one.path, kind, " ".join(str(error).split()))) from None
        adapted = count_changed_layers(pipe, name)
        if not adapted:
            raise StrategyError(_unfit(one.path, kind, "no layer has such a name"))
        told.append(_line(one, adapted, layers))
        names.append(name)
    pipe.set_adapters(names, [one.weight for one in loras])
    if loras[0].fuse:
        _fuse(pipe, loras[0].path, names, denoiser)
    return told


def _fuse(pipe: Any, path: str, names: list[str], denoiser: str) -> None:
    """Add the products to the weights.

    Raises:
        StrategyError: the weights are of a type that nothing can be added to, such as GGUF's.
    """
    try:
        pipe.fuse_lora(adapter_names=names)
    except FAULTS as error:
        reason = " ".join(str(error).split())[:200]
        raise StrategyError(
            f"--fuse-loras: {path} cannot be added to the weights of this {denoiser}: {reason}; "
            "leave --fuse-loras out"
        ) from None
    pipe.unload_lora_weights()


@contextmanager
def _without_log() -> Iterator[None]:
    """Leave the lines out that diffusers logs about an error before it raises it."""
    before = diffusers.utils.logging.get_verbosity()
    diffusers.utils.logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        diffusers.utils.logging.set_verbosity(before)


def count_changed_layers(pipe: Any, name: str) -> int:
    """Number of layers of a pipeline that an adapter changes."""
    modules = [part for part in pipe.components.values() if isinstance(part, nn.Module)]
    layers = [layer for part in modules for layer in part.modules()]
    return sum(name in getattr(layer, "lora_A", {}) for layer in layers)


def _line(one: Lora, adapted: int, layers: int) -> str:
    how = "added to the weights" if one.fuse else "beside the weights"
    some = f"{adapted} layers" if adapted >= layers else f"{adapted} of its {layers} layers"
    return f"LoRA {one.path}, weight {one.weight:g}, {how}: {some}"


def _unfit(path: str, kind: str, reason: str) -> str:
    return (
        f"--lora {path} does not fit this {kind}: {reason[:200]}; give a LoRA of this kind of model"
    )
