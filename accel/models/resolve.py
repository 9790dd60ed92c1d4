"""Resolution of a model's name to a pipeline: a config, a .yaml file, a folder, a file, a hub id or
a function.

Every command line and `evaluate.evaluate` come through here, so that all take the same names and
give the same errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

import zoo
from accel.models import checks, precision
from accel.models import parts as model_parts
from accel.models.config import NO_SOURCE, ModelConfig, from_source, is_config, read_model
from accel.models.files import placement
from accel.models.loading import (
    DTYPES,
    default_device,
    load_folder,
    load_pipeline,
    load_source,
    prepare_pipeline,
)
from accel.models.own_settings import own_settings
from accel.models.parts import ModelParts
from accel.models.random_weights import from_components, untrained
from strategies import StrategyError
from strategies.words import explain


def resolve_model(
    name: str,
    device: str | None = None,
    download: bool = False,
    random_weights: bool = False,
    changes: dict[str, Any] | None = None,
    source: str | None = None,
) -> tuple[Any, ModelConfig]:
    """Load a pipeline with the settings that it is scored in.

    Only names of configs and .yaml files have a config. The settings of all others are the
    pipeline's own defaults.

    Args:
        name: name of a config, .yaml file, folder in diffusers format, file of weights, hub id or
            `module:function`.
        device: target device; None takes a GPU if there is one.
        download: whether missing weights may be fetched from the hub.
        random_weights: whether to build the networks from their configs, without weights.
        changes: settings of the config to replace, parts too; None among them changes nothing.
        source: folder or file with a local copy of the model that `name` is the config of.

    Raises:
        StrategyError: there is no such model, it cannot be loaded, or a setting is wrong.
    """
    device = default_device() if device is None else device
    _check_device(device)
    given = {key: value for key, value in (changes or {}).items() if value is not None}
    config = find_config(name, source, given)
    if random_weights:
        _check_random(config, given)
    if config is None:
        pipe, config = _without_config(name, device, download, random_weights, given)
    elif not random_weights:
        pipe = load_pipeline(config, device, download)
    elif config.components and not Path(config.source).is_dir():
        pipe = prepare_pipeline(from_components(config, device), config)
    else:
        pipe = prepare_pipeline(_random(config.source, config.dtype, device), config)
    checks.check_setting(pipe, config)
    return pipe, config


def open_model(
    name: str,
    device: str,
    download: bool,
    source: str | None = None,
    parts: dict[str, Any] | None = None,
) -> tuple[Any, ModelConfig | None]:
    """Load a pipeline as it is, for generation alone.

    Args:
        name: name of a model; see `resolve_model`.
        device: target device.
        download: whether missing weights may be fetched from the hub.
        source: folder or file with a local copy of the model that `name` is the config of.
        parts: fields of `ModelParts` to replace.

    Returns:
        The pipeline, and its config or None if the name is not that of a config.

    Raises:
        StrategyError: there is no such model or device, or it cannot be loaded.
    """
    _check_device(device)
    config = find_config(name, source, parts)
    if config is None:
        return load_folder(name, device, download, parts=given_parts(name, parts or {})), None
    return load_pipeline(config, device, download), config


def find_config(
    name: str, source: str | None = None, changes: dict[str, Any] | None = None
) -> ModelConfig | None:
    """The config that a model's name stands for; None for a name that is a source itself.

    Raises:
        StrategyError: there is no such model, a change is not allowed, or `source` comes without
            a config.
    """
    if is_config(name):
        config = _changed(read_model(name), changes or {})
        return from_source(model_parts.absolute_parts(config), source)
    if source is not None:
        raise StrategyError(NO_SOURCE.format(name=name))
    return None


def _without_config(
    name: str, device: str, download: bool, random_weights: bool, given: dict[str, Any]
) -> tuple[Any, ModelConfig]:
    dtype = given.get("dtype") or precision.of_model(name, device)
    parts = given_parts(name, given)
    if random_weights:
        pipe = _random(name, dtype, device)
    else:
        placement.check_placement(parts, device)
        pipe = load_source(name, name, parts, DTYPES[dtype], download)
    config = _changed(own_settings(name, pipe, dtype, given), given | parts.model_dump())
    return placement.place_pipeline(prepare_pipeline(pipe, config), parts, device), config


def given_parts(name: str, given: dict[str, Any]) -> ModelParts:
    """The parts among changes of settings, with absolute paths."""
    try:
        found = {key: value for key, value in given.items() if key in model_parts.PARTS}
        return model_parts.absolute_parts(ModelParts.model_validate(found))
    except ValidationError as error:
        raise StrategyError(f"model {name}: {explain(error)}") from None


def _check_random(config: ModelConfig | None, given: dict[str, Any]) -> None:
    """Refuse parts of a model that has no weights."""
    there = given if config is None else config.model_dump()
    for name in ("loras", "vae", "embeddings", "controlnet", "base"):
        if there.get(name):
            raise StrategyError(
                f"--random-weights builds the networks without weights; leave {name} out"
            )


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


def _random(source: str, dtype: str, device: str) -> Any:
    folder = zoo.folder(source.removeprefix("zoo:")) if source.startswith("zoo:") else Path(source)
    return untrained(folder).to(device=device, dtype=DTYPES[dtype])
