"""Placement of a loaded pipeline: device, offloading, attention backend, compilation."""

from __future__ import annotations

from typing import Any

import torch

from accel.models.parts import ModelParts
from strategies import StrategyError

FAULTS = (ValueError, RuntimeError, TypeError, ImportError, NotImplementedError, AttributeError)
# Backends whose processors are chosen when a module is built cannot be changed by name.
CHOSEN = "_attention_backend"


def place_pipeline(pipe: Any, parts: ModelParts, device: str) -> Any:
    """Put a pipeline where it computes.

    Args:
        pipe: pipeline with all its parts.
        parts: how it is placed: `offload`, `attention`, `compile`.
        device: device that it computes on.

    Raises:
        StrategyError: the device, diffusers or the pipeline cannot do it.
    """
    if parts.attention:
        _set_attention(pipe, parts.attention)
    if parts.offload == "none":
        pipe = pipe.to(device)
    else:
        _offload(pipe, parts.offload, device)
    if parts.compile:
        _denoiser(pipe).compile()
    return pipe


def check_placement(parts: ModelParts, device: str) -> None:
    """Check what needs a GPU, before a model is loaded.

    Raises:
        StrategyError: weights can only be offloaded from a GPU in this way.
    """
    if parts.offload in ("model", "sequential") and torch.device(device).type == "cpu":
        raise StrategyError(
            f"--offload {parts.offload} moves weights between a GPU and memory, and the device is "
            "a CPU; leave it out, or give group"
        )


def _denoiser(pipe: Any) -> Any:
    return getattr(pipe, "unet", None) or pipe.transformer


def _offload(pipe: Any, how: str, device: str) -> None:
    target = torch.device(device)
    try:
        if how == "model":
            pipe.enable_model_cpu_offload(device=target)
        elif how == "sequential":
            pipe.enable_sequential_cpu_offload(device=target)
        else:
            # By leaves: groups of blocks keep some methods from leaving blocks out.
            pipe.enable_group_offload(onload_device=target, offload_type="leaf_level")
    except FAULTS as error:
        reason = " ".join(str(error).split())[:200]
        raise StrategyError(
            f"--offload {how}: {type(pipe).__name__} refuses it: {reason}"
        ) from None


def _set_attention(pipe: Any, name: str) -> None:
    denoiser = _denoiser(pipe)
    processors = [one.processor for one in denoiser.modules() if hasattr(one, "processor")]
    if not any(hasattr(type(one), CHOSEN) for one in processors):
        raise StrategyError(
            f"--attention {name}: the processors of {type(denoiser).__name__} do not choose among "
            "backends; leave it out"
        )
    try:
        denoiser.set_attention_backend(name)
    except FAULTS as error:
        reason = " ".join(str(error).split())[:300]
        raise StrategyError(f"--attention {name} cannot be used here: {reason}") from None
