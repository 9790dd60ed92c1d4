"""Settings of a pipeline that has no config of ours: the defaults that it comes with."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from accel import families
from accel.models.config import IMAGENET, ModelConfig
from strategies import StrategyError

BATCH = 4


def own_settings(name: str, pipe: Any, dtype: str) -> ModelConfig:
    """Settings of a pipeline: its scheduler, and the steps, guidance and size of its call.

    Args:
        name: folder or hub id that the pipeline was loaded from.
        pipe: pipeline to describe.
        dtype: precision of its weights.

    Raises:
        StrategyError: it does not generate from a prompt or a class alone, or has no default size.
    """
    takes = inspect.signature(pipe.__call__).parameters
    if not {"prompt", "class_labels"} & set(takes) or "image" in takes:
        raise StrategyError(
            f"{name} is a {type(pipe).__name__}; pipelines that generate from a prompt or a "
            "class alone can be scored"
        )
    size = _size(pipe)
    arguments: dict[str, Any] = {}
    for switch in ("use_resolution_binning", "clean_caption"):
        if switch in takes:  # The size and the text that are asked for are used as they are.
            arguments[switch] = False
    return ModelConfig(
        name=Path(name).resolve().name,
        source=str(Path(name).resolve()) if Path(name).is_dir() else name,
        dtype=dtype,  # type: ignore[arg-type]
        scheduler=type(pipe.scheduler).__name__,
        steps=int(takes["num_inference_steps"].default),
        guidance=float(takes["guidance_scale"].default),
        height=size,
        width=size,
        space=_space(pipe),
        search_prompts=IMAGENET,
        heldout_prompts=IMAGENET,
        batch=BATCH,
        arguments=arguments,
    )


def _space(pipe: Any) -> str:
    """Name of the space that a search of this pipeline uses."""
    family, sites = families.find(pipe)
    if family == "dit" and not any("cross" in part.kinds for part in sites.parts):
        return "class-all"
    return f"{family}-all"


def _size(pipe: Any) -> int:
    """Default side of the pipeline's images in pixels."""
    denoiser = getattr(pipe, "unet", None) or pipe.transformer
    cells = getattr(pipe, "default_sample_size", None) or denoiser.config.sample_size
    if not isinstance(cells, int):
        raise StrategyError(f"{type(pipe).__name__} has no square default size; give --size")
    scale = getattr(pipe, "vae_scale_factor", None)
    return int(cells * (scale or 2 ** (len(pipe.vae.config.block_out_channels) - 1)))
