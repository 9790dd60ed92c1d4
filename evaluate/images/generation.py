"""Generation of images of one strategy, each from its own seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import accel
from accel.models import calls
from accel.models.config import ModelConfig
from accel.solvers import noise
from evaluate.images import input_images
from evaluate.images.prompt_embeddings import PromptEmbeddings
from evaluate.images.prompts import Prompts
from evaluate.networks.base import Pixels
from strategies import Strategy, StrategyError
from strategies.words import one_line


class NotFiniteError(ArithmeticError):
    """Error of a strategy that makes NaN or infinite values instead of images."""


def generate_batches(
    pipe: Any,
    config: ModelConfig,
    strategy: Strategy,
    prompts: Prompts,
    embeddings: PromptEmbeddings | None = None,
) -> Iterator[list[Pixels]]:
    """Generate images of a strategy batch by batch, with one seeded generator per image.

    Args:
        pipe: pipeline of `config`; without a strategy between two batches and afterwards.
        config: the model and its setting.
        strategy: strategy to generate with.
        prompts: prompts and their noise.
        embeddings: embeddings that are kept from one strategy to the next; None computes them.

    Yields:
        8-bit RGB `[h, w, 3]` each, of a video `[frames, h, w, 3]`.

    Raises:
        NotFiniteError: some value is NaN or infinite.
        StrategyError: the strategy does not fit the pipeline.
    """
    for start in range(0, len(prompts.texts), config.batch):
        stop = min(start + config.batch, len(prompts.texts))
        reused = nullcontext() if embeddings is None else embeddings.reused()
        with accel.accelerated(pipe, strategy, set_scheduler=True), reused:
            drawn = run_pipeline(pipe, config, strategy, prompts.at(range(start, stop)))
        if not torch.isfinite(drawn).all():
            raise NotFiniteError(f"strategy {strategy.digest[:12]} made NaN or infinite values")
        yield list(to_pixels(drawn))


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """RGB `[n, ..., 3, h, w]` in [0, 1] rounded to eight bits, `[n, ..., h, w, 3]`, as in files."""
    rounded = (images.cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.movedim(-3, -1).numpy())


def run_pipeline(pipe: Any, config: ModelConfig, strategy: Strategy, prompts: Prompts) -> Tensor:
    """One call of the pipeline: float32 RGB `[n, 3, h, w]` in [0, 1].

    All noise of an image comes from its own seed, including the solver's. Of videos these are the
    frames that are scored, `[n, frames, 3, h, w]`.

    Raises:
        StrategyError: the pipeline generates classes and the prompts are none, it refuses them, or
            its images do not follow from their seeds.
    """
    takes = calls.takes(pipe)
    arguments: dict[str, Any] = {
        "num_inference_steps": strategy.steps,
        "generator": [torch.Generator("cpu").manual_seed(seed) for seed in prompts.seeds],
        **config.arguments,
    }
    word = calls.guidance_word(pipe)
    if word is not None:
        arguments[word] = config.guidance
    negative = arguments.get("negative_prompt")
    if isinstance(negative, str):  # Some pipelines take one for all images, others one for each.
        arguments["negative_prompt"] = [negative] * len(prompts.texts)
    if "class_labels" in takes:
        if not prompts.labels:
            raise StrategyError(
                f"{type(pipe).__name__} generates classes of ImageNet; give --prompts imagenet"
            )
        asked = {"class_labels": list(prompts.labels), "output_type": "np"}
        images = _drawn(pipe, asked | arguments).images
        return torch.from_numpy(np.asarray(images)).permute(0, 3, 1, 2).float()
    size = {"height": config.height, "width": config.width}
    arguments |= {name: value for name, value in size.items() if name in takes}
    arguments |= input_images.arguments(pipe, config, prompts)
    asked = {"prompt": list(prompts.texts), "output_type": "pt"}
    if not config.frames:
        found: Tensor = _drawn(pipe, asked | arguments).images
        return found.float()
    drawn = _drawn(pipe, asked | arguments | {"num_frames": config.frames})
    videos: Tensor = drawn.frames if hasattr(drawn, "frames") else drawn.image
    if videos.shape[1] != config.frames:
        raise StrategyError(
            f"{type(pipe).__name__} makes {videos.shape[1]} frames where {config.frames} are asked "
            f"for; give --frames {videos.shape[1]}"
        )
    return videos[:, config.places].float()


def _drawn(pipe: Any, arguments: dict[str, Any]) -> Any:
    try:
        with noise.seeded(pipe, arguments["generator"]):
            return pipe(**arguments)
    except StrategyError:
        raise
    except (ValueError, TypeError) as error:
        reason = one_line(error)
        raise StrategyError(f"{type(pipe).__name__} cannot generate this: {reason}") from None
