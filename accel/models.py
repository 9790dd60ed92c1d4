"""Which model, and how it is run: the files in `configs/models/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import zoo
from accel import hub, integrity, schedulers
from accel.tasks import TEXT, Task, convert
from strategies import StrategyError
from strategies.configs import configs as configs
from strategies.configs import read_config as read_config
from strategies.words import explain

STRENGTH = 0.6
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SOURCE_HELP = "folder with a local copy of the model that --model names, in diffusers format"
NO_SOURCE = "--source goes with the name of a config; give the folder as --model, not {name}"


class Component(BaseModel):
    """How a part of a pipeline is built without its weights.

    Attributes:
        kind: its class in diffusers or transformers.
        config: name of a file in `configs/networks/`, or a path: what the class is built with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    config: str


class ModelConfig(BaseModel):
    """A model and the setting it is searched and scored in.

    Attributes:
        name: as given on the command line.
        pipeline: diffusers' class that the weights must be of; empty takes any.
        source: `zoo:NAME`, a local folder in diffusers format, or a hub id.
        gated: whether the hub gives it only to who accepted its licence.
        dtype: of the weights.
        scheduler, steps, guidance: of the unaccelerated pipeline.
        height, width: of the images in pixels.
        space: name of a file in `configs/spaces/`, or a path.
        search: name of a file in `configs/searches/`, or a path: what a search of it has for
            settings that are not given; empty has the search's own.
        search_prompts, heldout_prompts: `zoo:NAME` or a text file, one prompt per line.
        task: what is drawn from; see `accel.tasks`.
        inputs: folder of the images that are changed, one for each prompt by their sorted names;
            empty for text-to-image.
        masks: folder of one mask for each image, under the image's name; white is drawn anew. Only
            for inpainting.
        strength: share of the schedule that is run from an image, in (0, 1].
        arguments: further ones of the pipeline's call.
        batch: images per batch while scoring. Latency is always of batch 1.
        components: by name, the parts that `--random-weights` builds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    pipeline: str = ""
    source: str
    gated: bool = False
    dtype: Literal["float32", "float16", "bfloat16"]
    scheduler: str
    steps: int = Field(ge=1)
    guidance: float = Field(ge=0)
    height: int = Field(ge=8)
    width: int = Field(ge=8)
    space: str
    search: str = ""
    search_prompts: str
    heldout_prompts: str
    batch: int = Field(ge=1)
    task: Task = TEXT
    inputs: str = ""
    masks: str = ""
    strength: float = Field(default=STRENGTH, gt=0, le=1)
    arguments: dict[str, bool | int | float | str] = Field(default_factory=dict)
    components: dict[str, Component] = Field(default_factory=dict)

    @property
    def share(self) -> float:
        """Share of a schedule's calls that a run makes, the last ones."""
        return 1.0 if self.task == TEXT else self.strength

    @model_validator(mode="after")
    def _inputs_fit(self) -> Self:
        """See that a task has the folders that it needs, and no others."""
        needs = {"inputs": self.task != TEXT, "masks": self.task == "inpainting"}
        for name, needed in needs.items():
            if needed and not getattr(self, name):
                raise ValueError(f"{name} are missing; {self.task} needs a folder of them")
            if getattr(self, name) and not needed:
                fits = "inpainting" if name == "masks" else "image-to-image or inpainting"
                raise ValueError(f"{name} are of no use for {self.task}; give --task {fits}")
        return self


def available() -> list[str]:
    """Names of the model configs that come with the package."""
    return configs("models")


def read_model(name: str) -> ModelConfig:
    """A model config by name or path.

    Raises:
        StrategyError: there is none, or a setting is wrong; names the setting.
    """
    data = read_config("models", name)
    try:
        return ModelConfig.model_validate({"name": Path(name).stem} | data)
    except ValidationError as error:
        raise StrategyError(f"model {name}: {explain(error)}") from None


def default_device() -> str:
    """`cuda` where there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def quiet() -> None:
    """Switch off the loading bars and hints of diffusers and transformers, for command lines."""
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


def from_source(config: ModelConfig, source: str | None) -> ModelConfig:
    """The config with its weights in another place, such as a local copy.

    Raises:
        StrategyError: `source` is no folder in diffusers format.
    """
    if source is None:
        return config
    if not Path(source).is_dir():
        raise StrategyError(f"--source {source}: no such folder; give one in diffusers format")
    return config.model_copy(update={"source": str(Path(source).resolve())})


def load_pipeline(config: ModelConfig, device: str = "cpu", download: bool = False) -> Any:
    """The pipeline of a model config, with its scheduler, without progress bars.

    Args:
        config: of the model.
        device: where to.
        download: whether the hub may be asked for a source that is a hub id.

    Raises:
        StrategyError: the weights are not there or are not of the config's pipeline.
    """
    pipe = _load(config.name, config.source, DTYPES[config.dtype], download, config)
    if type(pipe.scheduler).__name__ != config.scheduler:
        pipe.scheduler = schedulers.make(pipe.scheduler, config.scheduler)

    pipe.set_progress_bar_config(disable=True)
    return convert(pipe.to(device), config.task)


def load_folder(
    source: str, device: str = "cpu", download: bool = False, dtype: torch.dtype | None = None
) -> Any:
    """The pipeline in a local folder or under a hub id, as it is, without progress bars.

    Weights are of `dtype`, by default float16 on a GPU and float32 elsewhere.

    Raises:
        StrategyError: the weights are not there or are not a diffusers pipeline.
    """
    if dtype is None:
        dtype = torch.float16 if torch.device(device).type == "cuda" else torch.float32
    pipe = _load(source, source, dtype, download)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


def _load(
    name: str, source: str, dtype: torch.dtype, download: bool, config: ModelConfig | None = None
) -> Any:
    bundled, local = source.startswith("zoo:"), Path(source).is_dir()
    if local:
        _check_folder(name, Path(source), config)
    require_weights(name, source, download, config)
    try:
        if bundled:
            return zoo.load(source.removeprefix("zoo:"), dtype)
        with integrity.watched() as loaded:
            pipe = DiffusionPipeline.from_pretrained(
                source, dtype=dtype, local_files_only=local or not download, use_safetensors=True
            )
        integrity.check(name, pipe, loaded)
    except StrategyError:
        raise
    except (OSError, ValueError, AttributeError, ImportError) as error:
        why = hub.reason(error, source, download)
        incomplete = not (local or download or bundled)
        hint = "; pass --download to fetch what is missing" if incomplete else ""
        raise StrategyError(f"model {name}: cannot load {source!r}: {why}{hint}") from None
    _check_class(name, source, type(pipe).__name__, config)
    return pipe


def require_weights(
    name: str, source: str, download: bool, config: ModelConfig | None = None
) -> None:
    """See that a model's weights are on this machine, or may be fetched.

    Args:
        name: as given on the command line.
        source: `zoo:NAME`, a folder or a hub id.
        download: whether the hub may be asked.
        config: of the model, where it has one.

    Raises:
        StrategyError: they are not; says how to get them.
    """
    here = source.startswith("zoo:") or Path(source).is_dir() or hub.is_cached(source)
    if not here and not download:
        gated, described = (config.gated, bool(config.components)) if config else (False, False)
        raise StrategyError(hub.absent(name, source, gated, described))


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
