"""Device that a pipeline computes on."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def device_of(pipe: Any) -> torch.device:
    """The device that a pipeline computes on, also while its weights wait elsewhere."""
    # diffusers looks for hooks in every module of the pipeline, which takes milliseconds.
    if not torch.accelerator.is_available() and _is_on_cpu(pipe):
        return torch.device("cpu")
    found = getattr(pipe, "_execution_device", None)
    return torch.device(pipe.device if found is None else found)


def _is_on_cpu(pipe: Any) -> bool:
    parts = [part for part in vars(pipe).values() if isinstance(part, nn.Module)]
    weights = [next(part.parameters(), None) for part in parts]
    return bool(weights) and all(one is not None and one.device.type == "cpu" for one in weights)
