"""Arguments of a pipeline's call: which it takes, and the values that it has by default."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

# They take reference images as well, and draw without any.
OPTIONAL_IMAGES = frozenset({"Flux2Pipeline", "Flux2KleinPipeline"})
_USED = re.compile(r"height = height or (\d+)\b")


def takes(pipe: Any) -> Mapping[str, inspect.Parameter]:
    """Parameters of a pipeline's call by name."""
    return inspect.signature(pipe.__call__).parameters


def needs_image(pipe: Any) -> bool:
    """Whether a pipeline draws from an image, and not from a prompt or a class alone."""
    return "image" in takes(pipe) and type(pipe).__name__ not in OPTIONAL_IMAGES


def control_word(pipe: Any) -> str:
    """Name of the argument with the image that steers a ControlNet."""
    return "control_image" if "control_image" in takes(pipe) else "image"


def guidance_word(pipe: Any) -> str | None:
    """Name of the argument with the guidance scale, or None if there is none.

    It is `true_cfg_scale` where `guidance_scale` is for distilled models and unset (Qwen-Image).
    """
    found = takes(pipe)
    for word in ("guidance_scale", "true_cfg_scale"):
        if word in found and found[word].default is not None:
            return word
    return None


def default(pipe: Any, name: str) -> Any:
    """Default of an argument, or None if it has none."""
    one = takes(pipe).get(name)
    return None if one is None or one.default is one.empty else one.default


def default_size(pipe: Any) -> tuple[int, int] | None:
    """Height and width in pixels that a pipeline draws by default, or None if they are unknown."""
    height, width = default(pipe, "height"), default(pipe, "width")
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    denoiser = getattr(pipe, "unet", None) or pipe.transformer
    cells = getattr(pipe, "default_sample_size", None) or getattr(
        denoiser.config, "sample_size", None
    )
    if isinstance(cells, int):
        scale = getattr(pipe, "vae_scale_factor", None)
        side = int(cells * (scale or 2 ** (len(pipe.vae.config.block_out_channels) - 1)))
        return side, side
    used = _USED.search(inspect.getsource(inspect.unwrap(type(pipe).__call__)))
    return None if used is None else (int(used[1]), int(used[1]))
