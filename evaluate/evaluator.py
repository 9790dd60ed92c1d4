"""The Evaluator: one loaded model that draws strategies on fixed prompts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import numpy as np

import zoo
from accel.models import ModelConfig, load_pipeline, read_model
from evaluate import latency, prompts, scores
from evaluate.metrics import View, choose, usual
from evaluate.networks import Networks
from evaluate.networks.base import Pixels
from evaluate.networks.bundled import KINDS
from evaluate.sample import Sample, generate
from evaluate.side import Side
from strategies import Strategy, StrategyError

Split = Literal["search", "heldout"]
SEEDS: dict[Split, int] = {"search": 1, "heldout": 2}
REFERENCE_SEED = 3  # Of the unaccelerated pipeline's own images, where they are the reference.


class Evaluator:
    """A model on one device.

    Args:
        config: the model and its setting.
        device: such as `cpu` or `cuda:0`.
        pipe: an already loaded pipeline of that model.
        networks: for scoring; by default on the same device.

    Raises:
        StrategyError: the model or its prompts cannot be loaded.
    """

    def __init__(
        self,
        config: ModelConfig,
        device: str = "cpu",
        pipe: Any = None,
        networks: Networks | None = None,
    ) -> None:
        self.config = config
        self.pipe = load_pipeline(config, device) if pipe is None else pipe
        self.networks = networks or Networks(device)
        self.prompts = read_prompts(config)

    @property
    def baseline(self) -> Strategy:
        """The unaccelerated pipeline as a strategy that changes nothing."""
        return latency.unaccelerated(self.pipe, self.config.scheduler, self.config.steps)

    def sample(self, strategy: Strategy, split: Split, count: int) -> Sample:
        """Draw the first `count` prompts of a split of a bundled model with a strategy.

        Raises:
            NotFiniteError: the images hold NaN or infinity.
            StrategyError: the strategy does not fit the model, there are too few prompts, or the
                model is no bundled one.
        """
        check_scorable(self.config)
        chosen = self.prompts[split].first(count)
        images, seconds = generate(self.pipe, self.config, strategy, chosen)
        return self.reduce(images, chosen.texts, seconds)

    def reduce(self, images: list[Pixels], texts: tuple[str, ...], seconds: float) -> Sample:
        """Images of a bundled model as a sample."""
        right = self.networks.extract("judge", images, texts)
        return Sample(
            self.networks.extract("bundled", images),
            np.stack(images),
            {kind: right[:, column] for column, kind in enumerate(KINDS)},
            seconds,
        )

    def draw(self, name: str, strategy: Strategy, chosen: prompts.Prompts) -> Side:
        """Draw prompts with a strategy, all images in memory.

        Raises:
            NotFiniteError: the images hold NaN or infinity.
            StrategyError: the strategy does not fit the model.
        """
        images, _ = generate(self.pipe, self.config, strategy, chosen)
        return Side(name, len(images), images.__getitem__, chosen.texts, self.networks)


def is_bundled(config: ModelConfig) -> bool:
    """Whether the bundled networks know the model's images."""
    return config.source.startswith("zoo:")


def check_scorable(config: ModelConfig) -> None:
    """Raise a StrategyError where a search has no feature network that knows the model's images."""
    if not is_bundled(config):
        raise StrategyError(
            f"model {config.name}: a search scores by the bundled feature network, which only "
            "knows the bundled models' images; it needs a model whose source is zoo:NAME. "
            "python -m evaluate scores any model"
        )


def real_images() -> Side:
    """Real images of the bundled data, by their features."""
    features = zoo.reference_features().numpy()
    return Side("the bundled reference", len(features), known={"bundled": features})


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
    config: ModelConfig | str = "tiny-sd",
) -> dict[str, Any]:
    """Score a strategy beside the unaccelerated pipeline on held-out prompts.

    Args:
        pipe_or_model: a model's name, folder or hub id (`evaluate.models.find`), or a loaded
            pipeline of the model `config`.
        strategy: what to score.
        images: how many.
        metrics: names or groups, by default all that need no weights that are not on disk; see
            `evaluate.metrics`.
        config: the model of a loaded pipeline: a config or its name.

    Returns:
        The scores, the unaccelerated pipeline's under `baseline`, paired 95 % intervals under
        `intervals`. Models that are not bundled are compared with their own unaccelerated images
        at other seeds (`_self`).

    Raises:
        StrategyError: an unknown model or metric, or a strategy that does not fit.
    """
    from evaluate import models

    if isinstance(pipe_or_model, str):
        pipe, setting = models.find(pipe_or_model)
    else:
        pipe = pipe_or_model
        setting = read_model(config) if isinstance(config, str) else config
    bundled = is_bundled(setting)
    chosen = usual(bundled)[0] if metrics is None else choose(metrics, bundled)
    evaluator = Evaluator(setting, str(pipe.device), pipe)
    drawn = evaluator.prompts["heldout"].first(images)
    base = evaluator.draw("the unaccelerated images", evaluator.baseline, drawn)
    mine = evaluator.draw("the strategy's images", strategy, drawn)
    references: dict[View, Side] = {}
    if bundled:
        references["real"] = real_images()
    elif any("self" in metric.views for metric in chosen):
        other = drawn.reseeded(REFERENCE_SEED)
        references["self"] = evaluator.draw("the reference", evaluator.baseline, other)
    there = scores.statistics(base, base, references, chosen)
    here = scores.statistics(mine, base, references, chosen)
    return scores.values(here, images) | {
        "images": images,
        "baseline": scores.values(there, images),
        "intervals": scores.intervals(here, there, chosen, images),
    }


__all__ = ["Evaluator", "check_scorable", "evaluate", "is_bundled", "read_prompts", "real_images"]
