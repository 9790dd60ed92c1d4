"""Settings of a model: the files in `configs/models/`. Read without torch and diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from accel.models import sources
from accel.models.parts import ModelParts
from strategies import StrategyError
from strategies.data_files.configs import configs, read_config
from strategies.words import did_you_mean, explain
from zoo import SUBJECTS

Precision = Literal["float32", "float16", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
# Tasks of a pipeline; see `accel.models.tasks`.
Task = Literal["text-to-image", "image-to-image", "inpainting"]
TASKS: tuple[Task, ...] = get_args(Task)
TEXT: Task = "text-to-image"
STRENGTH = 0.6
SCORED = "5"  # Frames of a video that are scored, unless a setting says otherwise.
IMAGENET = "imagenet"  # Prompts: the classes of ImageNet.
SOURCE_HELP = "folder or .safetensors file with the weights of the model that --model names"
MODEL_HELP = (
    "{names}, a .yaml file, a folder in diffusers format, a .safetensors or .gguf file, a hub id "
    "or module:function"
)
NO_SOURCE = "--source goes with the name of a config; give the folder as --model, not {name}"


class Component(BaseModel):
    """Recipe of a pipeline's part without its weights.

    Attributes:
        kind: class in diffusers or transformers.
        config: name of a file in `configs/networks/`, or a path, with the arguments of the class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    config: str


class ModelConfig(ModelParts):
    """A model and the setting it is searched and scored in; `ModelParts` has further fields.

    Attributes:
        name: name that the command line takes.
        pipeline: diffusers' class that the weights must be of; empty takes any.
        source: `zoo:NAME`, a local folder in diffusers format, a hub id, one .safetensors or .gguf
            file, or `module:function`.
        gated: whether the hub asks for a login and a licence.
        dtype: precision of the weights.
        scheduler, steps, guidance: settings of the unaccelerated pipeline.
        height, width: size of the images in pixels.
        space: name of a file in `configs/spaces/`, or a path.
        search: name of a file in `configs/searches/`, or a path: defaults of this model's searches;
            empty takes the search's own defaults.
        search_prompts, heldout_prompts: `zoo:NAME` or a text file, one prompt per line.
        task: input that images are made from; see `accel.models.tasks`.
        inputs: folder of the images that are changed, or that steer a ControlNet, one for each
            prompt by their sorted names; empty for text-to-image without a ControlNet.
        masks: folder of one mask for each image, under the image's name; white areas are replaced.
            Only for inpainting.
        strength: share of the schedule that is run from an image, in (0, 1].
        frames: number of frames of each video; 0 for images.
        scored_frames: frames of a video that are scored: "all", a number of frames from the first
            to the last, or their places such as "0,8,16"; empty for images.
        arguments: further arguments of the pipeline's call.
        batch: images per batch while scoring. Latency is always of batch 1.
        components: parts that `--random-weights` builds, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    pipeline: str = ""
    source: str
    gated: bool = False
    dtype: Precision
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
    frames: int = Field(default=0, ge=0)
    scored_frames: str = ""
    arguments: dict[str, bool | int | float | str] = Field(default_factory=dict)
    components: dict[str, Component] = Field(default_factory=dict)

    @property
    def subject(self) -> str | None:
        """Subject of a bundled model, whose images the networks of that subject know."""
        return SUBJECTS.get(self.source.removeprefix("zoo:")) if self.is_bundled else None

    @property
    def is_bundled(self) -> bool:
        """Whether the bundled networks were trained on images like this model's."""
        return self.source.startswith("zoo:")

    @property
    def share(self) -> float:
        """Share of a schedule's calls that a run makes, the last ones."""
        return 1.0 if self.task == TEXT else self.strength

    @property
    def takes_images(self) -> bool:
        """Whether each image is generated from an input image as well."""
        return self.task != TEXT or bool(self.controlnet)

    @property
    def places(self) -> list[int]:
        """Places of the frames that are scored; empty for images."""
        if not self.frames:
            return []
        return frame_places(self.scored_frames or SCORED, self.frames)

    @model_validator(mode="after")
    def _frames_fit(self) -> Self:
        """Check that the frames that are scored are there."""
        if self.scored_frames and not self.frames:
            raise ValueError("scored_frames are of no use for a model that generates images")
        assert isinstance(self.places, list)
        return self

    @model_validator(mode="after")
    def _inputs_fit(self) -> Self:
        """Check that a task has the folders that it needs, and no others."""
        if self.controlnet and self.task != TEXT:
            raise ValueError(
                f"controlnet: goes with {TEXT}, and the task is {self.task}; leave one of them out"
            )
        needs = {"inputs": self.task != TEXT, "masks": self.task == "inpainting"}
        for name, needed in needs.items():
            if needed and not getattr(self, name):
                raise ValueError(f"{name} are missing; {self.task} needs a folder of them")
            useless = not (needed or (name == "inputs" and self.controlnet))
            if getattr(self, name) and useless:
                fits = "inpainting" if name == "masks" else "image-to-image or inpainting"
                raise ValueError(f"{name} are of no use for {self.task}; give --task {fits}")
        return self


def frame_places(chosen: str, frames: int) -> list[int]:
    """Places of the frames of a video that are scored.

    Args:
        chosen: "all", a number of frames from the first to the last, or places such as "0,8,16".
        frames: number of frames of the video.

    Raises:
        ValueError: none of these, or a frame that the video does not have.
    """
    allowed = (
        f'scored_frames is {chosen!r}; give "all", a number from 1 to {frames}, or places from 0 '
        f"to {frames - 1} in ascending order, such as 0,1,2"
    )
    if chosen == "all":
        return list(range(frames))
    words = chosen.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise ValueError(allowed)
    numbers = [int(word) for word in words]
    if len(numbers) == 1:
        count = numbers[0]
        if not 1 <= count <= frames:
            raise ValueError(allowed)
        if count == 1:
            return [frames // 2]
        return [round(i * (frames - 1) / (count - 1)) for i in range(count)]
    if numbers != sorted(set(numbers)) or numbers[-1] >= frames:
        raise ValueError(allowed)
    return numbers


def available() -> list[str]:
    """Names of the model configs that come with the package."""
    return configs("models")


def is_config(name: str) -> bool:
    """Whether a model's name is that of a config, rather than of a folder, file or function.

    Raises:
        StrategyError: it is none of them.
    """
    if name in available() or name.endswith((".yaml", ".yml")):
        return True
    if not sources.is_named_directly(name):
        raise StrategyError(
            f"model {name!r} is unknown; there are {', '.join(available())}, or give a .yaml file, "
            "a folder in diffusers format, a .safetensors or .gguf file or, with --download, a hub "
            f"id such as owner/name{did_you_mean(name, available())}"
        )
    return False


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


def from_source(config: ModelConfig, source: str | None) -> ModelConfig:
    """The config with its weights in another place, such as a local copy.

    Raises:
        StrategyError: `source` is neither a folder nor a file of weights.
    """
    if source is None:
        return config
    if sources.kind_of(source) not in ("folder", "file"):
        raise StrategyError(f"--source {source}: no such folder; give one in diffusers format")
    return config.model_copy(update={"source": str(Path(source).resolve())})


def model_help() -> str:
    """Help of the flag --model: everything that names a model."""
    return MODEL_HELP.format(names=", ".join(available()))
