"""Tiny pipelines of any class that diffusers has for a supported network, and calls of them.

A pipeline's parts are found by the names in its constructor, arguments by those in its call; what
is special about a class is in `EXTRA` and `CALLS`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import diffusers
import torch

import zoo
from tests.support.copies import copied
from tests.support.pipelines.any_parts import EXTRA, UNTRIED, parts_of

STEPS = 6
SIZE = 32
Arguments = dict[str, Any]


class NotTriedError(Exception):
    """No tiny pipeline of this class; the message says why."""


def kind_of(name: str) -> Any:
    """The class of this name."""
    return getattr(diffusers, name)


def build(name: str) -> Any:
    """A tiny pipeline of a class, always with the same weights.

    Raises:
        NotTriedError: there is none.
    """
    for start, reason in UNTRIED.items():
        if name.startswith(start):
            raise NotTriedError(reason)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = copied(_built(name))
    made.set_progress_bar_config(disable=True)
    return made


@functools.cache
def _built(name: str) -> Any:
    kind = kind_of(name)
    takes = inspect.signature(kind.__init__).parameters
    parts = dict(parts_of(name))
    for words, change in EXTRA.items():
        if all(word in name for word in words.split()):
            parts |= change(parts)
    given = {key: value for key, value in parts.items() if key in takes}
    for key, value in (("safety_checker", None), ("requires_safety_checker", False)):
        if key in takes:
            given[key] = value
    if "pag_applied_layers" in takes:
        given["pag_applied_layers"] = "mid" if "unet" in takes else ["blocks.1"]
    missing = [
        key
        for key, one in takes.items()
        if key not in given and one.default is inspect.Parameter.empty and key != "self"
    ]
    given |= dict.fromkeys(set(missing) & {"feature_extractor", "image_encoder", "watermarker"})
    return kind(**given)


def arguments(name: str, pipe: Any) -> Arguments:
    """What to call a pipeline with, for `STEPS` steps from a seed."""
    noise = torch.Generator().manual_seed(5)
    image = torch.rand(1, 3, SIZE, SIZE, generator=noise)
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[..., : SIZE // 2] = 1
    usual: Arguments = {
        "prompt": "a large red circle",
        "image": image,
        "control_image": image,
        "example_image": image,
        "mask_image": mask,
        "control_mask": mask,
        "height": SIZE,
        "width": SIZE,
        "strength": 1.0,
        "num_inference_steps": STEPS,
        "output_type": "latent",
        "generator": torch.Generator().manual_seed(0),
    }
    takes = inspect.signature(type(pipe).__call__).parameters
    given = {key: value for key, value in usual.items() if key in takes}
    if isinstance(pipe, diffusers.DiTPipeline):
        given |= {"class_labels": [7], "output_type": "np"}
    if name.startswith(("Flux", "StableDiffusion3")):
        given["max_sequence_length"] = 16
    if name.startswith("PixArt"):
        given |= zoo.MODELS["tiny-pixart"] | {"height": 16, "width": 16}
    for words, more in CALLS.items():
        if all(word in name for word in words.split()):
            given |= more(image)
    return {key: value for key, value in given.items() if value is not None}


CALLS: dict[str, Callable[[torch.Tensor], Arguments]] = {
    "CycleDiffusion": lambda image: {"source_prompt": "a small blue ring"},
    "StableDiffusionUpscale": lambda image: {"image": image[..., ::2, ::2]},
    "LatentUpscale": lambda image: {"image": image[..., ::2, ::2]},
    "ImageVariation": lambda image: {"image": image[..., ::2, ::2]},
    "TextToVideoZero": lambda image: {"t0": 3, "t1": 4, "video_length": 2},
    "Kontext": lambda image: {"max_area": SIZE**2, "_auto_resize": False},
    "Panorama": lambda image: {"width": 64, "height": 64},
    "SAG": lambda image: {"width": 64, "height": 64},
    "GLIGEN": lambda image: {
        "gligen_phrases": ["a circle"], "gligen_boxes": [[0.1, 0.1, 0.6, 0.6]],
        "gligen_scheduled_sampling_beta": 0.5,
    },
    "Marigold": lambda image: {"output_type": "np", "processing_resolution": 0},
    "Semantic": lambda image: {"editing_prompt": ["a ring"], "edit_warmup_steps": 1},
}  # fmt: skip


def draw(name: str, pipe: Any) -> torch.Tensor:
    """One image or latent of a pipeline of this class."""
    torch.manual_seed(0)  # Some take their noise from here.
    made = pipe(**arguments(name, pipe))[0]
    made = made[0] if isinstance(made, list) else made
    return torch.as_tensor(made)
