"""Images of one strategy on the first prompts of a split, reduced to what scoring needs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import accel
from accel.models import ModelConfig
from evaluate.prompts import Prompts
from strategies import Strategy


@dataclass(frozen=True)
class Sample:
    """What is left of a generation of n images.

    Attributes:
        features: float32 `[n, d]`.
        images: uint8 RGB `[n, h, w, 3]`.
        right: per kind of label, the share of right answers per image, float32 `[n]`; empty where
            no judge knows the data.
        seconds: device time spent.
    """

    features: NDArray[np.float32]
    images: NDArray[np.uint8]
    right: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    seconds: float = 0.0


class NotFiniteError(ArithmeticError):
    """A strategy that made NaN or infinite values instead of images."""


def generate(
    pipe: Any, config: ModelConfig, strategy: Strategy, prompts: Prompts
) -> tuple[Tensor, float]:
    """Images of a strategy, one seeded generator per image.

    Args:
        pipe: of `config`; left without a strategy.
        prompts: what to draw and with which noise.

    Returns:
        float32 RGB `[n, 3, h, w]` in [0, 1], and the seconds it took.

    Raises:
        NotFiniteError: some value is NaN or infinite.
        StrategyError: the strategy does not fit the pipeline.
    """
    began = time.monotonic()
    batches = []
    with accel.accelerated(pipe, strategy, set_scheduler=True):
        for start in range(0, len(prompts.texts), config.batch):
            texts = prompts.texts[start : start + config.batch]
            seeds = prompts.seeds[start : start + config.batch]
            batches.append(run(pipe, config, strategy, texts, seeds))
    images = torch.cat(batches)
    if images.is_cuda:
        torch.cuda.synchronize()
    if not torch.isfinite(images).all():
        raise NotFiniteError(f"strategy {strategy.digest[:12]} made NaN or infinite values")
    return images, time.monotonic() - began


def run(
    pipe: Any,
    config: ModelConfig,
    strategy: Strategy,
    texts: tuple[str, ...],
    seeds: tuple[int, ...],
) -> Tensor:
    """One call of the pipeline: float32 RGB `[n, 3, h, w]` in [0, 1]."""
    images = pipe(
        list(texts),
        num_inference_steps=strategy.steps,
        guidance_scale=config.guidance,
        height=config.height,
        width=config.width,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        output_type="pt",
        **config.arguments,
    ).images
    result: Tensor = images.float()
    return result
