"""Parts of a model beside its source: base, LoRAs, autoencoder, precision of weights, placement.

They are fields of a model's config and flags of every command. Read without torch and diffusers.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

Offload = Literal["none", "model", "sequential", "group"]
OFFLOADS: tuple[Offload, ...] = get_args(Offload)
# Types of weights that each backend makes.
TYPES: dict[str, tuple[str, ...]] = {
    "torchao": ("int8", "int8-dynamic", "float8"),
    "quanto": ("int8", "int4", "float8"),
    "bitsandbytes": ("int8", "nf4"),
    "layerwise": ("float8",),
}
DENOISERS = ("unet", "transformer")


class Lora(BaseModel):
    """A low-rank adapter.

    Attributes:
        path: safetensors file, or a folder with one.
        weight: factor on what it adds.
        fuse: whether it is added to the weights once, which costs no time per call.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1)
    weight: float = 1.0
    fuse: bool = False

    @field_validator("weight")
    @classmethod
    def _is_finite(cls, weight: float) -> float:
        if not math.isfinite(weight):
            raise ValueError(f"weight is {weight}; give a finite number")
        return weight


class Embedding(BaseModel):
    """A textual inversion.

    Attributes:
        path: safetensors file.
        token: word that prompts name it by; empty takes the file's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1)
    token: str = ""


class Quantize(BaseModel):
    """Precision of the weights of one part.

    Attributes:
        backend: package that holds and multiplies them; `layerwise` is diffusers' own casting.
        type: type of the weights.
        part: name of the part; empty is the denoiser.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["torchao", "quanto", "bitsandbytes", "layerwise"]
    type: str
    part: str = ""

    @model_validator(mode="after")
    def _known_type(self) -> Self:
        if self.type not in TYPES[self.backend]:
            raise ValueError(
                f"{self.backend} has no type {self.type!r}; there are "
                f"{', '.join(TYPES[self.backend])}"
            )
        return self

    @property
    def of_denoiser(self) -> bool:
        """Whether it changes the network that is accelerated."""
        return self.part in ("", *DENOISERS)


class ModelParts(BaseModel):
    """Parts that replace or change those of a model's source.

    Attributes:
        base: source of the parts that a single file lacks: a folder in diffusers format, a hub id
            or the name of a config; empty takes the published model of the file's architecture.
        loras: low-rank adapters, in this order.
        vae: another autoencoder: a folder, a hub id or a safetensors file.
        embeddings: textual inversions.
        controlnet: ControlNet, which needs an input image: a folder, a hub id or a safetensors
            file.
        quantize: precision of parts' weights.
        offload: way to keep weights in main memory until they are needed; `none` keeps them on the
            device.
        attention: attention backend of diffusers; empty takes the pipeline's own.
        compile: whether the denoiser is compiled by torch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = ""
    loras: tuple[Lora, ...] = ()
    vae: str = ""
    embeddings: tuple[Embedding, ...] = ()
    controlnet: str = ""
    quantize: tuple[Quantize, ...] = ()
    offload: Offload = "none"
    attention: str = ""
    compile: bool = False

    @field_validator("loras", "embeddings", mode="before")
    @classmethod
    def _from_paths(cls, given: Any) -> Any:
        if isinstance(given, list | tuple):
            return [{"path": one} if isinstance(one, str) else one for one in given]
        return given

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out parts that are not used.

        Runs and caches of models without such parts are then the same as before there were any.
        """
        data: dict[str, Any] = handler(self)
        plain = {name: ModelParts.model_fields[name].default for name in PARTS}
        return {k: v for k, v in data.items() if k not in plain or getattr(self, k) != plain[k]}

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """Refuse parts that exclude each other."""
        kept = [one.path for one in self.loras if not one.fuse]
        for one in self.quantize if kept else ():
            if one.of_denoiser and one.backend in ("quanto", "layerwise"):
                raise ValueError(
                    f"quantize: {one.backend} weights take no LoRA on top; fuse {kept[0]} "
                    "(--fuse-loras)"
                )
        parts = ["the denoiser" if one.of_denoiser else one.part for one in self.quantize]
        twice = {part for part in parts if parts.count(part) > 1}
        if twice:
            raise ValueError(f"quantize: {min(twice)} is named twice; give one type of each part")
        if self.compile and self.offload != "none":
            raise ValueError(
                f"compile: a denoiser whose weights are offloaded ({self.offload}) is not compiled "
                "as a whole; leave one of the two out"
            )
        if len({one.fuse for one in self.loras}) > 1:
            raise ValueError("loras: some are fused and others are not; fuse all of them or none")
        return self


M = TypeVar("M", bound=ModelParts)
PARTS = (
    *("base", "loras", "vae", "embeddings", "controlnet"),
    *("quantize", "offload", "attention", "compile"),
)


def absolute(path: str) -> str:
    """Absolute path of what is on this machine, as workers in other folders need it."""
    return str(Path(path).resolve()) if path and Path(path).exists() else path


def absolute_parts(parts: M) -> M:
    """The parts with absolute paths."""
    return parts.model_copy(
        update={
            "base": absolute(parts.base),
            "vae": absolute(parts.vae),
            "controlnet": absolute(parts.controlnet),
            "loras": tuple(
                one.model_copy(update={"path": absolute(one.path)}) for one in parts.loras
            ),
            "embeddings": tuple(
                one.model_copy(update={"path": absolute(one.path)}) for one in parts.embeddings
            ),
        }
    )
