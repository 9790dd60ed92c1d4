"""Attributes of pipelines that hold denoisers, and wrappers that pass their calls on."""

from __future__ import annotations

import sys
from typing import Any

FIRST = ("unet", "transformer")  # Attributes of pipelines with their denoiser.
OTHERS = ("transformer_2",)  # With one that makes some of the calls of the same schedule.


def unwrapped(denoiser: Any) -> Any:
    """The module inside `torch.compile` and PEFT's `get_peft_model`, in whatever order they are.

    Both call the module's own `forward`, which a strategy wraps, and PEFT puts its layers into the
    module itself. Anything else is returned as it is.
    """
    while True:
        inside = _compiled(denoiser)
        if inside is None:
            inside = _adapted(denoiser)
        if inside is None:
            return denoiser
        denoiser = inside


def _compiled(module: Any) -> Any | None:
    return getattr(module, "_modules", {}).get("_orig_mod")


def _adapted(module: Any) -> Any | None:
    """The base model of a PEFT model; without PEFT in this process there can be none."""
    peft = sys.modules.get("peft")
    if peft is None or not isinstance(module, (peft.PeftModel, peft.tuners.tuners_utils.BaseTuner)):
        return None
    return module.get_base_model() if isinstance(module, peft.PeftModel) else module.model
