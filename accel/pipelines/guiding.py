"""Guidance of diffusers' pipelines, as far as a strategy must know it to leave one half out.

Pipelines add `scale * (conditional - unconditional)` to the unconditional prediction. Most get both
from one doubled batch, the unconditional half first; DiT's have the conditional half first. FLUX's
make two passes, the conditional one first. Other pipelines guide by three parts, by perturbed
attention or in a way of their own, and are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from accel.pipelines.callers import variables
from strategies import StrategyError

Kind = Literal["halves", "passes", "none"]
_SD = "StableDiffusion"
_TASKS = ("", "Img2Img", "Inpaint")
# Pipelines whose own `__call__` guides with one doubled batch.
HALVES = frozenset(
    f"{name}Pipeline"
    for name in (
        *(f"{_SD}{version}{task}" for version in ("", "XL", "3") for task in _TASKS),
        *(f"{_SD}{version}ControlNet{task}" for version in ("", "XL") for task in _TASKS),
        *(f"{_SD}XLControlNetUnion{task}" for task in _TASKS),
        *(f"{_SD}{task}" for task in ("3ControlNet", "3ControlNetInpainting", "ControlNetXS")),
        *(f"{_SD}{task}" for task in ("XLControlNetXS", "Adapter", "XLAdapter", "Depth2Img")),
        *(f"{_SD}{task}" for task in ("Upscale", "LatentUpscale", "LDM3D", "ModelEditing")),
        *(f"{_SD}{task}" for task in ("GLIGEN", "GLIGENTextImage")),
        f"{_SD}ImageVariation",
        "StableUnCLIP",
        "StableUnCLIPImg2Img",
        "PaintByExample",
        *(f"AltDiffusion{task}" for task in ("", "Img2Img")),
        *(f"Kolors{task}" for task in ("", "Img2Img")),
        *(f"Kandinsky{task}" for task in _TASKS),
        *(f"KandinskyV22{task}" for task in _TASKS),
        *(f"KandinskyV22Controlnet{task}" for task in ("", "Img2Img")),
        *(f"IF{task}" for task in ("", "SuperResolution", "Img2Img", "Img2ImgSuperResolution")),
        *(f"IF{task}" for task in ("Inpainting", "InpaintingSuperResolution")),
        *(f"PixArt{task}" for task in ("Alpha", "Sigma")),
        "DiT",
    )
) | {"StableDiffusionInpaintPipelineLegacy"}
# Those that guide with two passes, where `true_cfg_scale` and a negative prompt ask for it.
PASSES = frozenset(
    f"Flux{name}Pipeline"
    for name in ("", "Img2Img", "Inpaint", "ControlNet", "Kontext", "KontextInpaint")
)
# Those that never guide with two predictions: the network was trained for one.
NEVER = frozenset(
    f"{name}Pipeline"
    for name in (
        *(f"LatentConsistencyModel{task}" for task in ("", "Img2Img")),
        *(f"Flux{task}" for task in ("Control", "ControlImg2Img", "ControlInpaint", "Fill")),
        *(f"Flux{task}" for task in ("ControlNetImg2Img", "ControlNetInpaint")),
        *(f"Marigold{task}" for task in ("Depth", "Intrinsics", "Normals")),
    )
)


@dataclass(frozen=True)
class Guiding:
    """Guidance of a pipeline in one generation.

    Attributes:
        kind: doubled batch, two passes, or no guidance.
        scale: current guidance scale.
    """

    kind: Kind
    scale: Callable[[], float]


def check(pipe: Any) -> None:
    """Refuse a pipeline that guides in a way of its own.

    Raises:
        StrategyError: its class is not known to guide in one of the ways above.
    """
    name = _class(pipe)
    if name is None or name in HALVES | PASSES | NEVER:
        return
    raise StrategyError(
        f"methods.guidance does not know how {name} guides; it takes pipelines that guide with "
        "two predictions, in one doubled batch or in two passes, as StableDiffusionPipeline, "
        "StableDiffusionXLPipeline, StableDiffusion3Pipeline, PixArtSigmaPipeline, DiTPipeline "
        "and FluxPipeline do: take methods.guidance out of the strategy"
    )


def find(pipe: Any) -> Guiding | None:
    """Guidance of the running pipeline; None in a loop of one's own.

    Raises:
        StrategyError: it guides by more than two predictions this time.
    """
    name = _class(pipe)
    there = None if name is None else variables(pipe, "__call__")
    if there is None:
        return None
    if there.get("skip_guidance_layers") is not None:
        raise StrategyError(
            "methods.guidance does not go with skip_guidance_layers, which guides by a third "
            "prediction; leave skip_guidance_layers out of the call, or methods.guidance out of "
            "the strategy"
        )
    word = "true_cfg_scale" if name in PASSES else "guidance_scale"
    own = isinstance(getattr(type(pipe), word, None), property)
    given = there.get(word)

    def scale() -> float:
        now: Any = getattr(pipe, word) if own else given
        return float(now)

    return Guiding(_kind(pipe, name, there), scale)


def _kind(pipe: Any, name: str | None, there: Mapping[str, Any]) -> Kind:
    if name in PASSES:
        return "passes" if there.get("do_true_cfg") else "none"
    if name in NEVER:
        return "none"
    if name == "DiTPipeline":
        guided = there["guidance_scale"] > 1
    else:
        word = "do_classifier_free_guidance"
        guided = getattr(pipe, word) if hasattr(type(pipe), word) else there[word]
    return "halves" if guided else "none"


def _class(pipe: Any) -> str | None:
    """Name of the class whose `__call__` a pipeline has, or None for an object without one."""
    kinds = (kind for kind in type(pipe).__mro__ if "__call__" in vars(kind))
    return next((kind.__name__ for kind in kinds), None)
