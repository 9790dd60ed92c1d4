"""Any model that can be scored: a config's name, a .yaml file, a folder of diffusers, a hub id.

A folder has no config of ours, so its own defaults are taken: its scheduler, and the steps,
guidance and size that its pipeline's call has when nothing is said.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from pydantic import ValidationError

import zoo
from accel import families
from accel.models.config import NO_SOURCE, ModelConfig, available, from_source, read_model
from accel.models.loading import DTYPES, default_device, load_folder, load_pipeline
from accel.models.tasks import convert
from evaluate import checks
from evaluate.images.prompts import IMAGENET
from evaluate.untrained import from_components, untrained
from strategies import StrategyError
from strategies.words import did_you_mean, explain

FOLDER_BATCH = 4


def find(
    name: str,
    device: str | None = None,
    download: bool = False,
    random_weights: bool = False,
    changes: dict[str, Any] | None = None,
    source: str | None = None,
) -> tuple[Any, ModelConfig]:
    """A loaded pipeline and the setting it is scored in.

    Args:
        name: of the model.
        device: where to; by default a GPU where there is one.
        download: whether the hub may be asked.
        random_weights: build the networks from their configs, without weights.
        changes: settings of the config to replace.
        source: folder with a local copy of the model that `name` is the config of.

    Raises:
        StrategyError: there is no such model, it cannot be loaded, or a setting is wrong.
    """
    pipe, config = _find(name, device, download, random_weights, changes, source)
    checks.setting(pipe, config)
    return pipe, config


def _find(
    name: str,
    device: str | None,
    download: bool,
    random_weights: bool,
    changes: dict[str, Any] | None,
    source: str | None,
) -> tuple[Any, ModelConfig]:
    device = default_device() if device is None else device
    _check_device(device)
    given = {key: value for key, value in (changes or {}).items() if value is not None}
    if is_config(name):
        config = from_source(_changed(read_model(name), given), source)
        if not random_weights:
            return load_pipeline(config, device, download), config
        if config.components and not Path(config.source).is_dir():
            return _dressed(from_components(config, device), config), config
        return _dressed(_random(config.source, config.dtype, device), config), config
    if source is not None:
        raise StrategyError(NO_SOURCE.format(name=name))
    dtype = given.get("dtype") or ("float16" if device.startswith("cuda") else "float32")
    if random_weights:
        pipe = _random(name, dtype, device)
    else:
        pipe = load_folder(name, device, download, DTYPES[dtype])
    config = _changed(_own(name, pipe, dtype), given)
    return _dressed(pipe, config), config


def is_config(name: str) -> bool:
    """Whether a model's name is that of a config, not of a folder or on the hub.

    Raises:
        StrategyError: it is none of them.
    """
    if name in available() or name.endswith((".yaml", ".yml")):
        return True
    if not (Path(name).is_dir() or "/" in name):
        raise StrategyError(
            f"model {name!r} is unknown; there are {', '.join(available())}, or give a .yaml file, "
            "a folder in diffusers format or, with --download, a hub id such as owner/name"
            f"{did_you_mean(name, available())}"
        )
    return False


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise StrategyError(f"device {device!r} cannot be used: {reason}") from None


def _changed(config: ModelConfig, changes: dict[str, Any]) -> ModelConfig:
    try:
        return ModelConfig.model_validate(config.model_dump() | changes)
    except ValidationError as error:
        raise StrategyError(f"model {config.name}: {explain(error)}") from None


def _dressed(pipe: Any, config: ModelConfig) -> Any:
    """The pipeline with the config's scheduler, without progress bars."""
    from accel.solvers import schedulers

    if type(pipe.scheduler).__name__ != config.scheduler:
        pipe.scheduler = schedulers.make(pipe.scheduler, config.scheduler)
    pipe.set_progress_bar_config(disable=True)
    return convert(pipe, config.task)


def _random(source: str, dtype: str, device: str) -> Any:
    folder = zoo.folder(source.removeprefix("zoo:")) if source.startswith("zoo:") else Path(source)
    return untrained(folder).to(device=device, dtype=DTYPES[dtype])


def _own(name: str, pipe: DiffusionPipeline, dtype: str) -> ModelConfig:
    takes = inspect.signature(pipe.__call__).parameters
    if not {"prompt", "class_labels"} & set(takes) or "image" in takes:
        raise StrategyError(
            f"{name} is a {type(pipe).__name__}; pipelines that draw from a prompt or a class "
            "alone can be scored"
        )
    size = _size(pipe)
    arguments: dict[str, Any] = {}
    for switch in ("use_resolution_binning", "clean_caption"):
        if switch in takes:  # What is asked for is drawn: this size, this text.
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
        batch=FOLDER_BATCH,
        arguments=arguments,
    )


def _space(pipe: Any) -> str:
    """The space that a search of a pipeline without a config of ours walks."""
    family, sites = families.find(pipe)
    if family == "dit" and not any("cross" in part.kinds for part in sites.parts):
        return "class-all"
    return f"{family}-all"


def _size(pipe: Any) -> int:
    """Pixels of a side of the images that the pipeline draws when nothing is said."""
    denoiser = getattr(pipe, "unet", None) or pipe.transformer
    cells = getattr(pipe, "default_sample_size", None) or denoiser.config.sample_size
    if not isinstance(cells, int):
        raise StrategyError(f"{type(pipe).__name__} has no square default size; give --size")
    scale = getattr(pipe, "vae_scale_factor", None)
    return int(cells * (scale or 2 ** (len(pipe.vae.config.block_out_channels) - 1)))
