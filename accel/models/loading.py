"""Loading of a model's pipeline; `accel.models.config` has its settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline

import zoo
from accel.models import hub_errors, integrity, notes, precision, sources
from accel.models.config import PRECISIONS, ModelConfig
from accel.models.files import (
    autoencoder,
    controlnets,
    embeddings,
    functions,
    loras,
    placement,
    quantizing,
    quanto_folder,
    single_file,
)
from accel.models.parts import ModelParts
from accel.models.tasks import convert
from accel.solvers import schedulers
from strategies import StrategyError
from zoo.versions.precision import precision_argument

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in PRECISIONS}


def default_device() -> str:
    """`cuda` if there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def quiet() -> None:
    """Switch off the loading bars and hints of diffusers and transformers, for command lines.

    Notes on how a model is put together are shown instead.
    """
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()
    notes.show_notes()


def load_pipeline(config: ModelConfig, device: str = "cpu", download: bool = False) -> Any:
    """Load the pipeline of a model config, with its parts and scheduler, without progress bars.

    Args:
        config: settings of the model.
        device: target device, such as "cuda:0".
        download: whether missing weights may be fetched from the hub.

    Raises:
        StrategyError: the weights are missing or are not of the config's pipeline.
    """
    placement.check_placement(config, device)
    dtype = DTYPES[config.dtype]
    pipe = load_source(config.name, config.source, config, dtype, download, config)
    return placement.place_pipeline(prepare_pipeline(pipe, config), config, device)


def prepare_pipeline(pipe: Any, config: ModelConfig) -> Any:
    """The pipeline with the scheduler and for the task of a config, without progress bars.

    Raises:
        StrategyError: the scheduler does not fit the model, or it has no pipeline for the task.
    """
    if type(pipe.scheduler).__name__ != config.scheduler:
        pipe.scheduler = schedulers.make(pipe.scheduler, config.scheduler)
    pipe.set_progress_bar_config(disable=True)
    return convert(pipe, config.task)


def load_folder(
    source: str,
    device: str = "cpu",
    download: bool = False,
    dtype: torch.dtype | None = None,
    parts: ModelParts | None = None,
) -> Any:
    """Load the pipeline of a folder, file, function or hub id, as it is, without progress bars.

    Weights are of `dtype`, by default as `accel.models.precision` has it.

    Raises:
        StrategyError: the weights are missing or are not of a diffusers pipeline.
    """
    if dtype is None:
        dtype = DTYPES[precision.of_model(source, device)]
    parts = parts or ModelParts()
    placement.check_placement(parts, device)
    pipe = load_source(source, source, parts, dtype, download)
    pipe.set_progress_bar_config(disable=True)
    return placement.place_pipeline(pipe, parts, device)


def load_source(
    name: str,
    source: str,
    parts: ModelParts,
    dtype: torch.dtype,
    download: bool = False,
    config: ModelConfig | None = None,
) -> Any:
    """Load a pipeline and put its parts in; it stays on the CPU.

    Args:
        name: name of the model, for messages.
        source: `zoo:NAME`, a folder, file, hub id or `module:function`.
        parts: parts beside the source.
        dtype: precision of the weights.
        download: whether missing weights may be fetched from the hub.
        config: settings of the model, if it has a config.

    Raises:
        StrategyError: something is missing, damaged or does not fit; says what.
    """
    kind = sources.kind_of(source)
    if parts.base and kind != "file":
        raise StrategyError(f"--base goes with a single file, and {source} is none; leave it out")
    quantizing.check_backends(parts.quantize)
    if kind == "file":
        pipe = single_file.load_single_file(source, parts.base, dtype, download, parts.vae)
        _check_class(name, source, type(pipe).__name__, config)
    elif kind == "function":
        pipe = functions.load_from_function(source)
        _check_class(name, source, type(pipe).__name__, config)
    else:
        pipe = _load(name, source, dtype, download, config)
    if parts.vae and kind != "file":
        pipe.register_modules(
            vae=autoencoder.load_autoencoder(parts.vae, pipe.vae.config, dtype, download)
        )
    for line in (*embeddings.add(pipe, parts.embeddings), *loras.add(pipe, parts.loras)):
        notes.tell(line)
    if parts.controlnet:
        pipe = controlnets.add(pipe, parts.controlnet, dtype, download)
    quantizing.quantize(pipe, parts.quantize, dtype)
    return pipe


def _load(
    name: str, source: str, dtype: torch.dtype, download: bool, config: ModelConfig | None = None
) -> Any:
    bundled, local = source.startswith("zoo:"), Path(source).is_dir()
    if local:
        _check_folder(name, Path(source), config)
        integrity.check_files(name, Path(source))
    require_weights(name, source, download, config)
    try:
        if bundled:
            return zoo.load(source.removeprefix("zoo:"), dtype)
        ready = quanto_folder.read_quanto_networks(Path(source), dtype) if local else {}
        with integrity.watched() as loaded:
            pipe = DiffusionPipeline.from_pretrained(
                source,
                local_files_only=local or not download,
                use_safetensors=True,
                **precision_argument(dtype),
                **ready,
            )
        integrity.check_complete(name, pipe, loaded)
    except StrategyError:
        raise
    except (OSError, ValueError, AttributeError, ImportError) as error:
        why = hub_errors.load_failure(error, source, download)
        incomplete = not (local or download or bundled)
        hint = "; pass --download to fetch what is missing" if incomplete else ""
        raise StrategyError(f"model {name}: cannot load {source!r}: {why}{hint}") from None
    _check_class(name, source, type(pipe).__name__, config)
    return pipe


def require_weights(
    name: str, source: str, download: bool, config: ModelConfig | None = None
) -> None:
    """Check that a model's weights are on this machine, or may be fetched.

    Args:
        name: name of the model on the command line.
        source: `zoo:NAME`, a folder, file, hub id or `module:function`.
        download: whether missing weights may be fetched from the hub.
        config: settings of the model, if it has a config.

    Raises:
        StrategyError: they are missing; says how to get them.
    """
    here = sources.kind_of(source) != "hub" or hub_errors.is_cached(source)
    if not here and not download:
        gated, described = (config.gated, bool(config.components)) if config else (False, False)
        raise StrategyError(hub_errors.absent(name, source, gated, described))


def _check_folder(name: str, folder: Path, config: ModelConfig | None) -> None:
    """Refuse a folder of another kind before its weights are read."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        kind = str(index["_class_name"])
    except FileNotFoundError:
        raise StrategyError(
            f"model {name}: {folder} has no model_index.json; give a folder in diffusers format"
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise StrategyError(
            f"model {name}: {folder / 'model_index.json'} does not name a pipeline; give a folder "
            "in diffusers format"
        ) from None
    _check_class(name, str(folder), kind, config)


def _check_class(name: str, source: str, kind: str, config: ModelConfig | None) -> None:
    if config is not None and config.pipeline not in ("", kind):
        raise StrategyError(
            f"model {name}: {source} holds a {kind}, not a {config.pipeline}; give a copy of that "
            f"model, or the folder itself as --model {source}"
        )
