"""Settings of a pipeline that has no config of ours: the defaults that it comes with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accel import families
from accel.models import calls, sources
from accel.models.config import IMAGENET, SCORED, ModelConfig
from accel.models.parts import absolute
from accel.pipelines import guiding
from strategies import StrategyError
from strategies.plugins.families import from_packages

BATCH = 4
UNGUIDED = {"mmdit": "flux-all", "transformer": "transformer-unguided"}


def own_settings(
    name: str, pipe: Any, dtype: str, given: Mapping[str, Any] | None = None
) -> ModelConfig:
    """Settings of a pipeline: its scheduler, and the steps, guidance and size of its call.

    Args:
        name: folder, file, hub id or function that the pipeline was loaded from.
        pipe: pipeline to describe.
        dtype: precision of its weights.
        given: settings to use in place of its own.

    Raises:
        StrategyError: it does not generate from a prompt or a class alone, has no default size, or
            a setting is wrong.
    """
    takes, given = calls.takes(pipe), given or {}
    steered = bool(given.get("controlnet"))
    if not {"prompt", "class_labels"} & set(takes) or (calls.needs_image(pipe) and not steered):
        raise StrategyError(
            f"{name} is a {type(pipe).__name__}; pipelines that generate from a prompt or a "
            "class alone can be scored"
        )
    height, width = calls.default_size(pipe) or (given.get("height"), given.get("width"))
    if height is None or width is None:
        raise StrategyError(f"{type(pipe).__name__} has no default size; give --size")
    word = calls.guidance_word(pipe)
    arguments: dict[str, Any] = {}
    for switch in ("use_resolution_binning", "clean_caption"):
        if switch in takes:  # The size and the text that are asked for are used as they are.
            arguments[switch] = False
    if word == "true_cfg_scale" and "negative_prompt" in takes:
        arguments["negative_prompt"] = " "  # Without one it does not guide.
    frames = calls.default(pipe, "num_frames")
    guidance = 0.0 if word is None else float(takes[word].default)
    guided = guiding.guides(pipe, word, float(given.get("guidance", guidance)))
    return ModelConfig(
        name=model_title(name),
        source=absolute(name),
        dtype=dtype,  # type: ignore[arg-type]
        scheduler=type(pipe.scheduler).__name__,
        steps=int(takes["num_inference_steps"].default),
        guidance=guidance,
        height=height,
        width=width,
        space=_space(pipe, guided),
        search_prompts=IMAGENET,
        heldout_prompts=IMAGENET,
        batch=BATCH if frames is None else 1,
        arguments=arguments,
        frames=frames or 0,
        scored_frames=SCORED if frames else "",
    )


def model_title(name: str) -> str:
    """Short name of a model, such as a run's folder is called by."""
    if sources.is_function(name):
        return name.replace(":", ".")
    place = Path(name).resolve()
    return place.stem if place.is_file() else place.name


def _space(pipe: Any, guided: bool) -> str:
    """Name of the space that a search of this pipeline uses.

    Args:
        pipe: a pipeline.
        guided: whether it guides with two predictions; if not, `guidance` would change nothing.
    """
    family, sites = families.find_sites(pipe)
    if family in from_packages():
        return from_packages()[family].space
    if family == "dit" and not any("cross" in part.kinds for part in sites.parts):
        return "class-all"
    return UNGUIDED[family] if family in UNGUIDED and not guided else f"{family}-all"
