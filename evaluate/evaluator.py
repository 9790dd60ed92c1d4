"""The Evaluator: one loaded model that turns strategies into samples, and samples into scores."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

import zoo
from accel.models import ModelConfig, load_pipeline, read_model
from evaluate import latency, prompts, scores
from evaluate.sample import Sample, generate
from strategies import Strategy, StrategyError
from zoo import judging, networks

Split = Literal["search", "heldout"]
SEEDS: dict[Split, int] = {"search": 1, "heldout": 2}


class Evaluator:
    """A model on one device.

    Args:
        config: the model and its setting.
        device: such as `cpu` or `cuda:0`.
        pipe: an already loaded pipeline of that model.

    Raises:
        StrategyError: the model cannot be loaded, or no feature network knows its images.
    """

    def __init__(self, config: ModelConfig, device: str = "cpu", pipe: Any = None) -> None:
        check_scorable(config)
        self.config = config
        self.pipe = load_pipeline(config, device) if pipe is None else pipe
        folder = zoo.networks_folder()
        self._network = networks.load(networks.FeatureNet, folder / "features.safetensors")
        self._judge = networks.load(networks.JudgeNet, folder / "judge.safetensors")
        self.real = zoo.reference_features().numpy()
        self.prompts = read_prompts(config)

    @property
    def baseline(self) -> Strategy:
        """The unaccelerated pipeline as a strategy that changes nothing."""
        return latency.unaccelerated(self.pipe, self.config.scheduler, self.config.steps)

    def sample(self, strategy: Strategy, split: Split, count: int) -> Sample:
        """Draw the first `count` prompts of a split with a strategy.

        Raises:
            NotFiniteError: the images hold NaN or infinity.
            StrategyError: the strategy does not fit the model, or there are too few prompts.
        """
        chosen = self.prompts[split].first(count)
        images, seconds = generate(self.pipe, self.config, strategy, chosen)
        return self.reduce(images, chosen.texts, seconds)

    @torch.inference_mode()
    def reduce(self, images: Tensor, texts: tuple[str, ...], seconds: float) -> Sample:
        """Images, RGB `[n, 3, h, w]` in [0, 1], as a sample."""
        images = images.cpu().clamp(0, 1)
        # What is scored is what is saved: eight bits per channel.
        pixels = (images * 255).round().to(torch.uint8)
        rounded = pixels.float() / 255
        features = torch.cat([self._network.features(part) for part in rounded.split(256)])
        right = judging.right(self._judge, rounded, texts)
        return Sample(
            features.numpy().astype(np.float32),
            pixels.permute(0, 2, 3, 1).contiguous().numpy(),
            {name: value.numpy().astype(np.float32) for name, value in right.items()},
            seconds,
        )


def check_scorable(config: ModelConfig) -> None:
    """Raise a StrategyError where no feature network knows the model's images."""
    if not config.source.startswith("zoo:"):
        raise StrategyError(
            f"model {config.name}: the bundled feature network only knows the bundled models' "
            "images; scoring needs a model whose source is zoo:NAME"
        )


def read_prompts(config: ModelConfig) -> dict[Split, prompts.Prompts]:
    """The prompts of both splits."""
    return {
        "search": prompts.read(config.search_prompts, SEEDS["search"]),
        "heldout": prompts.read(config.heldout_prompts, SEEDS["heldout"]),
    }


def evaluate(
    pipe_or_model: Any,
    strategy: Strategy,
    images: int = 64,
    metrics: Collection[str] | None = None,
    config: str = "tiny-sd",
) -> dict[str, Any]:
    """Score a strategy beside the unaccelerated pipeline on held-out prompts.

    Args:
        pipe_or_model: a model name, or a loaded pipeline of the model `config`.
        strategy: what to score.
        images: how many.
        metrics: names to return, by default all; see `evaluate.scores`.
        config: the model config of a loaded pipeline.

    Returns:
        The scores, the unaccelerated pipeline's under `baseline`, paired 95 % intervals under
        `intervals`.

    Raises:
        StrategyError: an unknown model or metric, or a strategy that does not fit.
    """
    if isinstance(pipe_or_model, str):
        evaluator = Evaluator(read_model(pipe_or_model))
    else:
        evaluator = Evaluator(read_model(config), pipe=pipe_or_model)
    base = evaluator.sample(evaluator.baseline, "heldout", images)
    mine = evaluator.sample(strategy, "heldout", images)
    found = scores.score(mine, base, evaluator.real)
    unknown = sorted(set(metrics or ()) - set(found))
    if unknown:
        raise StrategyError(
            f"metrics {', '.join(unknown)} are unknown; there are {', '.join(found)}"
        )
    chosen = {name: value for name, value in found.items() if not metrics or name in metrics}
    return chosen | {
        "images": images,
        "baseline": scores.score(base, base, evaluator.real),
        "intervals": scores.intervals(mine, base, evaluator.real),
    }
