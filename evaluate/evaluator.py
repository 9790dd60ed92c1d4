"""The Evaluator: one loaded model that generates with strategies on fixed prompts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Literal

import accel
import zoo
from accel.models.config import ModelConfig, read_model
from accel.models.loading import load_pipeline
from accel.models.resolve import resolve_model
from accel.pipelines.devices import device_of
from evaluate import scoring
from evaluate.extraction import ExtractedFeatures, ExtractionSpec, extract
from evaluate.image_set import ImageSet
from evaluate.images import input_images, prompts, recorded_prompts
from evaluate.images.generation import generate_batches, run_pipeline
from evaluate.images.prompt_embeddings import PromptEmbeddings
from evaluate.metrics import ReferenceKind, default_metrics, select_metrics
from evaluate.networks import Networks
from evaluate.networks.base import Pixels
from evaluate.speed import latency_measurement
from evaluate.speed.peak_memory import peak_memory
from strategies import Strategy
from strategies.plugins.former_names import FormerName

# The same prompts with other noise are those of the unaccelerated pipeline's own reference.
Split = Literal["search", "heldout", "search-self", "heldout-self"]
SEEDS: dict[Split, int] = {"search": 1, "heldout": 2, "heldout-self": 3, "search-self": 4}
REFERENCE_SEED = SEEDS["heldout-self"]


class Evaluator:
    """A model on one device.

    Args:
        config: the model and its setting.
        device: target device, such as `cpu` or `cuda:0`.
        pipe: loaded pipeline of that model; None loads it.
        networks: networks of the metrics; by default on the same device.
        lists: prompts of every split; by default those that the config names.
        keep_embeddings: whether `sample` encodes a batch of prompts only once. The text encoders
            must not change then.

    Raises:
        StrategyError: the model or its prompts cannot be loaded.
    """

    draw = FormerName("generate")
    baseline = FormerName("unaccelerated")

    def __init__(
        self,
        config: ModelConfig,
        device: str = "cpu",
        pipe: Any = None,
        networks: Networks | None = None,
        lists: dict[Split, prompts.Prompts] | None = None,
        keep_embeddings: bool = False,
    ) -> None:
        self.config = config
        self.pipe = load_pipeline(config, device) if pipe is None else pipe
        self.networks = networks or Networks(device, subject=config.subject or "shapes")
        self.prompts = lists or read_prompts(config)
        self._unaccelerated: dict[tuple[str, int], Strategy] = {}
        self._embeddings = PromptEmbeddings(self.pipe) if keep_embeddings else None

    @property
    def unaccelerated(self) -> Strategy:
        """The unaccelerated pipeline as a strategy that changes nothing."""
        setting = (self.config.scheduler, self.config.steps)
        if setting not in self._unaccelerated:
            found = latency_measurement.unaccelerated_strategy(self.pipe, *setting)
            self._unaccelerated[setting] = found
        return self._unaccelerated[setting]

    def sample(
        self,
        strategy: Strategy,
        chosen: prompts.Prompts,
        reading: ExtractionSpec,
        unaccelerated: Callable[[int], Pixels] | None = None,
    ) -> ExtractedFeatures:
        """Generate images with a strategy and extract their features.

        Args:
            strategy: strategy to generate with.
            chosen: prompts to generate.
            reading: features to extract.
            unaccelerated: function from a prompt's index to its unaccelerated image, if pixels are
                compared.

        Raises:
            NotFiniteError: the images hold NaN or infinity.
            StrategyError: the strategy does not fit the model.
        """
        count, size = len(chosen.texts), self.config.batch
        drawn: Iterator[list[Pixels]] = generate_batches(
            self.pipe, self.config, strategy, chosen, self._embeddings
        )
        if unaccelerated is not None and strategy.digest == self.unaccelerated.digest:
            known = map(unaccelerated, range(count))  # They are there already.
            drawn = iter(lambda: list(islice(known, size)), [])
        base = None if unaccelerated is None else map(unaccelerated, range(count))
        found = extract(drawn, chosen.texts, reading, self.networks, base)
        return replace(found, memory=self.memory(strategy)) if reading.memory else found

    def memory(self, strategy: Strategy) -> int:
        """Peak bytes of one image, as `evaluate.speed.peak_memory` counts them."""
        one = self.prompts["search"].first(1)
        with accel.accelerated(self.pipe, strategy, set_scheduler=True):
            return peak_memory(
                self.pipe, lambda: run_pipeline(self.pipe, self.config, strategy, one)
            )

    def generate(self, name: str, strategy: Strategy, chosen: prompts.Prompts) -> ImageSet:
        """Generate images with a strategy and keep all of them in memory.

        Raises:
            NotFiniteError: the images hold NaN or infinity.
            StrategyError: the strategy does not fit the model.
        """
        drawn = generate_batches(self.pipe, self.config, strategy, chosen)
        images = [image for batch in drawn for image in batch]
        return ImageSet(name, len(images), images.__getitem__, chosen.texts, self.networks)


@functools.cache  # Metrics keep in it what they compute from these images alone.
def real_images(subject: str = "shapes") -> ImageSet:
    """Real images of a subject of the bundled models, by their features."""
    features = zoo.reference_features(subject).numpy()
    return ImageSet("the bundled reference", len(features), known={"bundled": features})


def read_prompts(config: ModelConfig) -> dict[Split, prompts.Prompts]:
    """Prompts of every split.

    If the search and the held-out scoring use one list, the search takes it from its end, so that
    the two have no prompt in common as long as there are enough. The same holds for input images.

    Raises:
        StrategyError: prompts or input images cannot be read.
    """
    search = recorded_prompts.find_prompts(config.search_prompts, SEEDS["search"])
    heldout = recorded_prompts.find_prompts(config.heldout_prompts, SEEDS["heldout"])
    if config.search_prompts == config.heldout_prompts:
        search = search.at(range(len(search.texts) - 1, -1, -1))
    search = input_images.add(search, config, from_end=True)
    heldout = input_images.add(heldout, config, from_end=False)
    return {
        "search": search,
        "heldout": heldout,
        "search-self": search.reseeded(SEEDS["search-self"]),
        "heldout-self": heldout.reseeded(SEEDS["heldout-self"]),
    }


def evaluate(
    pipe_or_model: Any,
    strategy: Strategy,
    images: int = 64,
    metrics: Collection[str] | None = None,
    config: ModelConfig | str = "tiny-sd",
) -> dict[str, Any]:
    """Score a strategy and the unaccelerated pipeline on held-out prompts.

    Args:
        pipe_or_model: model's name, folder or hub id (`accel.models.resolve.resolve_model`), or a
            loaded pipeline of the model `config`.
        strategy: strategy to score.
        images: number of images.
        metrics: names of metrics or groups (`evaluate.metrics`); by default all whose weights are
            on disk.
        config: model of a loaded pipeline: a config or its name.

    Returns:
        The scores, the unaccelerated pipeline's under `unaccelerated`, paired 95 % intervals under
        `intervals`. Models that are not bundled are compared with their own unaccelerated images at
        other seeds (`_self`).

    Raises:
        StrategyError: an unknown model or metric, or a strategy that does not fit.
    """
    if isinstance(pipe_or_model, str):
        pipe, setting = resolve_model(pipe_or_model)
    else:
        pipe = pipe_or_model
        setting = read_model(config) if isinstance(config, str) else config
    chosen = (
        default_metrics(setting.subject, len(setting.places) > 1)[0]
        if metrics is None
        else select_metrics(metrics, setting.subject)
    )
    evaluator = Evaluator(setting, str(device_of(pipe)), pipe)
    drawn = evaluator.prompts["heldout"].first(images)
    base = evaluator.generate("the unaccelerated images", evaluator.unaccelerated, drawn)
    mine = evaluator.generate("the strategy's images", strategy, drawn)
    references: dict[ReferenceKind, ImageSet] = {}
    if setting.subject is not None:
        references["real"] = real_images(setting.subject)
    elif any("self" in metric.views for metric in chosen):
        other = drawn.reseeded(REFERENCE_SEED)
        references["self"] = evaluator.generate("the reference", evaluator.unaccelerated, other)
    there = scoring.statistics(base, base, references, chosen)
    here = scoring.statistics(mine, base, references, chosen)
    return scoring.full_scores(here, images) | {
        "images": images,
        "baseline": scoring.full_scores(there, images),
        "intervals": scoring.intervals(here, there, chosen, images),
    }


__all__ = ["Evaluator", "evaluate", "read_prompts", "real_images"]
