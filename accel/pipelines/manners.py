"""Manners of guidance of diffusers' pipelines, by the class whose `__call__` a pipeline has.

Each is read from the source of that `__call__`. A test compares the formulas with the installed
classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["halves", "passes", "none"]
Variables = Mapping[str, Any]
DISTILLED, TRUE = "guidance_scale", "true_cfg_scale"


@dataclass(frozen=True)
class Manner:
    """Manner in which a pipeline guides.

    Attributes:
        kind: doubled batch, two passes, or no guidance by two predictions.
        scale: name of its guidance scale, a property or a variable of its `__call__`.
        asks: function from a pipeline and the variables of its `__call__` to whether it guides.
        prompt: the half, or the pass of two, that has the prompt; None if the network's family
            knows.
        adds: whether the scaled difference is added to the prediction with the prompt, not to the
            one without. Its guidance scale is then less by 1.
    """

    kind: Kind
    scale: str = DISTILLED
    asks: Callable[[Any, Variables], Any] = lambda pipe, there: False
    prompt: int | None = None
    adds: bool = False


def switch_reader(word: str) -> Callable[[Any, Variables], Any]:
    """Function that reads a switch from a pipeline's property or from a variable."""
    return lambda pipe, there: (
        getattr(pipe, word) if hasattr(type(pipe), word) else there.get(word, False)
    )


def _above(least: float, needs: str = "") -> Callable[[Any, Variables], Any]:
    """Function that compares the guidance scale, and sees whether a variable is there."""

    def asks(pipe: Any, there: Variables) -> bool:
        return there[DISTILLED] > least and (not needs or there.get(needs) is not None)

    return asks


def _named(manner: Manner, names: Iterable[str]) -> dict[str, Manner]:
    return {f"{name}Pipeline": manner for name in names}


_USUAL = switch_reader("do_classifier_free_guidance")
_HALVES = Manner("halves", asks=_USUAL)
_PASSES = Manner("passes", TRUE, switch_reader("do_true_cfg"))
_NEVER = Manner("none")
# Pipelines of the family `transformer`, which says nothing of the order of the two predictions.
_SECOND_HALF = replace(_HALVES, prompt=1)
_FIRST_PASS = Manner("passes", asks=_USUAL, prompt=0)
_TRUE_PASS = replace(_PASSES, prompt=0)
_SD = "StableDiffusion"
_TASKS = ("", "Img2Img", "Inpaint")
_UNET = (
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
)
_NONE = (
    *(f"LatentConsistencyModel{task}" for task in ("", "Img2Img")),
    *(f"Flux{task}" for task in ("Control", "ControlImg2Img", "ControlInpaint", "Fill")),
    *(f"Flux{task}" for task in ("ControlNetImg2Img", "ControlNetInpaint")),
    *(f"Marigold{task}" for task in ("Depth", "Intrinsics", "Normals")),
    "Flux2",
    *(f"SanaSprint{task}" for task in ("", "Img2Img")),
)
MANNERS: dict[str, Manner] = {
    **_named(_HALVES, _UNET),
    f"{_SD}InpaintPipelineLegacy": _HALVES,
    "DiTPipeline": replace(_HALVES, asks=_above(1)),
    **_named(
        _PASSES,
        (f"Flux{n}" for n in ("", "Img2Img", "Inpaint", "ControlNet", "Kontext", "KontextInpaint")),
    ),
    **_named(_NEVER, _NONE),
    **_named(
        _SECOND_HALF,
        (
            *("Allegro", "AuraFlow", "Bria", "CogView3Plus", "Mochi", "PRX", "HiDreamImage"),
            *(f"CogVideoX{task}" for task in ("", "FunControl", "ImageToVideo", "VideoToVideo")),
            *(f"HunyuanDiT{task}" for task in ("", "ControlNet")),
            *(f"LTX{task}" for task in ("", "ImageToVideo", "Condition")),
            *(f"Sana{task}" for task in ("", "ControlNet", "Video")),
        ),
    ),
    **_named(replace(_SECOND_HALF, asks=_above(1)), ("BriaFibo", "BriaFiboEdit")),
    # Its scale at 0 is no guidance; the positive half comes first.
    **_named(
        replace(_HALVES, prompt=0, adds=True),
        (f"ZImage{n}" for n in (*_TASKS, "ControlNet", "ControlNetInpaint", "Omni")),
    ),
    **_named(
        _FIRST_PASS,
        (
            *(f"Chroma{task}" for task in _TASKS),
            *("CogView4", "CogView4Control", "Flux2Klein", "Flux2KleinInpaint", "BriaFibo2"),
            *("Lumina2", "LongCatImage", "LongCatImageEdit", "OvisImage", "ChronoEdit"),
            *(f"Wan{task}" for task in ("", "ImageToVideo", "VideoToVideo", "VACE")),
            *("LucyEdit", "SkyReelsV2", "SkyReelsV2ImageToVideo"),
        ),
    ),
    **_named(replace(_FIRST_PASS, adds=True), ("Krea2",)),
    **_named(
        replace(_FIRST_PASS, asks=_above(1, "negative_prompt_embeds_qwen")),
        (f"Kandinsky5{task}" for task in ("T2I", "I2I", "T2V", "I2V")),
    ),
    **_named(
        _TRUE_PASS,
        (
            *(f"QwenImage{task}" for task in (*_TASKS, "ControlNet", "ControlNetInpaint")),
            *(f"QwenImage{task}" for task in ("Edit", "EditInpaint", "EditPlus", "Layered")),
            *(f"HunyuanVideo{task}" for task in ("", "ImageToVideo")),
            "HunyuanSkyreelsImageToVideo",
        ),
    ),
}
