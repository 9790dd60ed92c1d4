"""Images of one strategy on some prompts, each from its own seed."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import accel
from accel.models import ModelConfig
from evaluate.networks.base import Pixels
from evaluate.networks.bundled import KINDS
from evaluate.prompts import Prompts
from evaluate.side import Side
from strategies import Strategy, StrategyError


@dataclass(frozen=True)
class Sample:
    """What is left of a generation of n images of a bundled model.

    Attributes:
        features: of the bundled network, float32 `[n, d]`.
        images: uint8 RGB `[n, h, w, 3]`.
        right: per kind of label, the share of right answers per image, float32 `[n]`; empty where
            no judge knows the data.
        seconds: device time spent.
    """

    features: NDArray[np.float32]
    images: NDArray[np.uint8]
    right: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    seconds: float = 0.0

    def side(self) -> Side:
        """As one side of a comparison."""
        known = {"bundled": self.features}
        if self.right:
            known["judge"] = np.stack([self.right[kind] for kind in KINDS], axis=1)
        return Side("the sample", len(self.images), self.images.__getitem__, known=known)


class NotFiniteError(ArithmeticError):
    """A strategy that made NaN or infinite values instead of images."""


def generate(
    pipe: Any, config: ModelConfig, strategy: Strategy, prompts: Prompts
) -> tuple[list[Pixels], float]:
    """Images of a strategy, one seeded generator per image.

    Args:
        pipe: of `config`; left without a strategy.
        prompts: what to draw and with which noise.

    Returns:
        8-bit RGB `[h, w, 3]` each, and the seconds it took.

    Raises:
        NotFiniteError: some value is NaN or infinite.
        StrategyError: the strategy does not fit the pipeline.
    """
    began = time.monotonic()
    images = [one for batch in batches(pipe, config, strategy, prompts) for one in batch]
    return images, time.monotonic() - began


def batches(
    pipe: Any, config: ModelConfig, strategy: Strategy, prompts: Prompts
) -> Iterator[list[Pixels]]:
    """The same, batch by batch; between two the pipeline is without the strategy."""
    for start in range(0, len(prompts.texts), config.batch):
        stop = min(start + config.batch, len(prompts.texts))
        with accel.accelerated(pipe, strategy, set_scheduler=True):
            drawn = run(pipe, config, strategy, prompts.at(range(start, stop)))
        if not torch.isfinite(drawn).all():
            raise NotFiniteError(f"strategy {strategy.digest[:12]} made NaN or infinite values")
        yield list(to_pixels(drawn))


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """RGB `[n, 3, h, w]` in [0, 1] in eight bits, `[n, h, w, 3]`: what is saved is scored."""
    rounded = (images.cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(0, 2, 3, 1).numpy())


def run(pipe: Any, config: ModelConfig, strategy: Strategy, prompts: Prompts) -> Tensor:
    """One call of the pipeline: float32 RGB `[n, 3, h, w]` in [0, 1].

    Raises:
        StrategyError: the pipeline draws classes and the prompts are none.
    """
    takes = inspect.signature(pipe.__call__).parameters
    arguments: dict[str, Any] = {
        "num_inference_steps": strategy.steps,
        "guidance_scale": config.guidance,
        "generator": [torch.Generator("cpu").manual_seed(seed) for seed in prompts.seeds],
        **config.arguments,
    }
    if "class_labels" in takes:
        if not prompts.labels:
            raise StrategyError(
                f"{type(pipe).__name__} draws classes of ImageNet; give --prompts imagenet"
            )
        images = pipe(class_labels=list(prompts.labels), output_type="np", **arguments).images
        return torch.from_numpy(np.asarray(images)).permute(0, 3, 1, 2).float()
    arguments |= {"height": config.height, "width": config.width}
    found: Tensor = pipe(prompt=list(prompts.texts), output_type="pt", **arguments).images
    return found.float()
