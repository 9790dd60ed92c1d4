"""Device that a pipeline computes on."""

from __future__ import annotations

from typing import Any

import torch


def device_of(pipe: Any) -> torch.device:
    """The device that a pipeline computes on, also while its weights wait elsewhere."""
    found = getattr(pipe, "_execution_device", None)
    return torch.device(pipe.device if found is None else found)
