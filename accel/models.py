"""Which model, and how it is run: the files in `configs/models/`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
import transformers
import yaml
from diffusers import DiffusionPipeline
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import zoo
from accel import schedulers
from strategies import StrategyError
from strategies.strategy import explain

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class ModelConfig(BaseModel):
    """A model and the setting it is searched and scored in.

    Attributes:
        name: as given on the command line.
        source: `zoo:NAME`, a local folder in diffusers format, or a hub id.
        dtype: of the weights.
        scheduler, steps, guidance: of the unaccelerated pipeline.
        height, width: of the images in pixels.
        space: name of a file in `configs/spaces/`, or a path.
        search_prompts, heldout_prompts: `zoo:NAME` or a text file, one prompt per line.
        arguments: further ones of the pipeline's call.
        batch: images per batch while scoring. Latency is always of batch 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    dtype: Literal["float32", "float16", "bfloat16"]
    scheduler: str
    steps: int = Field(ge=1)
    guidance: float = Field(ge=0)
    height: int = Field(ge=8)
    width: int = Field(ge=8)
    space: str
    search_prompts: str
    heldout_prompts: str
    batch: int = Field(ge=1)
    arguments: dict[str, bool | int | float | str] = Field(default_factory=dict)


def available() -> list[str]:
    """Names of the model configs that come with the package."""
    return configs("models")


def configs(folder: str) -> list[str]:
    """Names of the YAML files in `configs/<folder>/`."""
    entries = (resources.files("configs") / folder).iterdir()
    return sorted(e.name.removesuffix(".yaml") for e in entries if e.name.endswith(".yaml"))


def read_config(folder: str, name: str) -> dict[str, Any]:
    """A YAML file by its name in `configs/<folder>/` or by its path.

    Raises:
        StrategyError: there is none, or it is not a YAML mapping.
    """
    try:
        if name in configs(folder):
            text = (resources.files("configs") / folder / f"{name}.yaml").read_text("utf-8")
        elif name.endswith((".yaml", ".yml")):
            text = Path(name).read_text("utf-8")
        else:
            raise StrategyError(
                f"{folder.removesuffix('s')} {name!r} is unknown; there are "
                f"{', '.join(configs(folder))}, or give the path of a .yaml file"
            )
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StrategyError(f"{name}: cannot be read as YAML ({error})") from None
    if not isinstance(data, dict):
        raise StrategyError(f"{name}: must hold a mapping of settings")
    return data


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


def load_pipeline(config: ModelConfig, device: str = "cpu", download: bool = False) -> Any:
    """The pipeline of a model config, with its scheduler, without progress bars.

    Args:
        config: of the model.
        device: where to.
        download: whether the hub may be asked for a source that is a hub id.

    Raises:
        StrategyError: the weights are not there or are not a diffusers pipeline.
    """
    pipe = _load(config.name, config.source, DTYPES[config.dtype], download)
    if type(pipe.scheduler).__name__ != config.scheduler:
        pipe.scheduler = schedulers.make(pipe.scheduler, config.scheduler)

    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


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


def _load(name: str, source: str, dtype: torch.dtype, download: bool) -> Any:
    local = Path(source).is_dir()
    if local and not (Path(source) / "model_index.json").is_file():
        raise StrategyError(
            f"model {name}: {source} has no model_index.json; give a folder in diffusers format"
        )
    try:
        if source.startswith("zoo:"):
            return zoo.load(source.removeprefix("zoo:"), dtype)
        return DiffusionPipeline.from_pretrained(
            source, dtype=dtype, local_files_only=local or not download
        )
    except (OSError, ValueError, AttributeError, ImportError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        reason = reason.split(". ")[0].rstrip(".")
        offline = not (local or download or source.startswith("zoo:"))
        hint = "; pass --download to ask the hub for it" if offline else ""
        raise StrategyError(f"model {name}: cannot load {source!r}: {reason}{hint}") from None
