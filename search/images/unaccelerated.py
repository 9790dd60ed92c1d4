"""Requests for images, and the features of the unaccelerated ones that a search starts from.

The unaccelerated images themselves stay in the run's folder. A worker that compares pixels reads
them there, or generates its own if it does not see the folder. Large numbers of images are
generated in parts, by all workers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import torch

from accel.models.loading import default_device
from evaluate.evaluator import Split, real_images
from evaluate.extraction import ExtractedFeatures, ExtractionSpec
from evaluate.image_set import ImageSet
from evaluate.images.references import read_reference as read_reference
from evaluate.networks import Networks
from evaluate.scoring import Scoring
from search.config import SearchConfig
from search.images import feature_cache as samples
from search.images import gallery_writer
from search.images.shared_cache import SharedImages
from search.results import gallery
from search.study.measurements import Measurements
from search.study.required import require_success
from search.study.study import Study
from search.workers.executor import Executor
from search.workers.messages import SampleRequest
from strategies import Strategy, StrategyError

SELF: dict[Split, Split] = {"search": "search-self", "heldout": "heldout-self"}


class UnacceleratedImages:
    """Unaccelerated images of one run, and requests for images of other strategies.

    Args:
        config: settings of the search.
        folder: folder of the run.
        study: log of the run.
        executor: workers.
        strategy: the unaccelerated pipeline as a strategy.
        patience: seconds after which generating a number of images is cancelled; None waits for
            ever.
        say: status callback.
        tell: callback with lines for people.

    Attributes:
        origin, unsigned: inputs that kept features have to come from; see
            `feature_cache.read_features`.
        shared: images that another run has generated, if any may be used.
    """

    def __init__(
        self,
        config: SearchConfig,
        folder: Path,
        study: Study,
        executor: Executor,
        strategy: Strategy,
        patience: Callable[[int], float | None],
        say: Callable[[str], None],
        tell: Callable[[str], None],
    ) -> None:
        self._config, self._folder, self._study = config, folder, study
        self._executor, self._strategy, self._patience = executor, strategy, patience
        self._say, self._tell = say, tell
        self._figures = config.metric_set
        self._real: ImageSet | None = None
        self.origin, self.unsigned = "", False
        self.shared: SharedImages | None = None

    def reuse(self, shared: SharedImages, origin: str = "", unsigned: bool = False) -> None:
        """Use images that another run has generated, and features that this run has kept.

        Args:
            shared: images that another run has generated.
            origin: digest of the inputs that kept features have to come from; empty asks for none.
            unsigned: whether features without such a digest count, too.
        """
        self.shared, self.origin, self.unsigned = shared, origin, unsigned

    def kept(self, path: Path, count: int, reading: ExtractionSpec) -> ExtractedFeatures | None:
        """Features that this run has kept, if they are of `count` images and of its inputs.

        Args:
            path: path of the file.
            count: number of images.
            reading: features that are asked for.
        """
        return samples.read_features(path, count, reading, self.origin, self.unsigned)

    def generation_request(
        self,
        key: str,
        strategy: Strategy,
        split: Split,
        count: int,
        start: int = 0,
        limit: float | None = None,
    ) -> SampleRequest:
        """Request for prompts `start` to `count` of a split, with the search's features.

        Args:
            key: name of the request.
            strategy: strategy to generate with.
            split: name of the prompts.
            count: number of the last prompt.
            start: number of the first prompt.
            limit: seconds after which it is cancelled; None waits for ever.
        """
        reading = self._reading(split)
        return SampleRequest(
            key=key,
            time_limit=limit,
            strategy=strategy,
            split=split,
            start=start,
            stop=count,
            reading=replace(
                reading,
                memory=reading.memory and not start,
                thumbnails=_thumbnails(split, start),
            ),
            unaccelerated=str((self._folder / "unaccelerated").resolve()),
        )

    def _reading(self, split: str) -> ExtractionSpec:
        reading = self._figures.reading
        # A reference is compared as a set, never pixel by pixel.
        return ExtractionSpec(reading.networks) if split in SELF.values() else reading

    def _path(self, split: str) -> Path:
        return self._folder / f"baseline-{split}.safetensors"

    def _kept(self, split: str) -> ExtractedFeatures | None:
        reading = self._reading(split)
        return samples.longest(self._path(split), reading, self.origin, self.unsigned)

    def sample(self, split: Split, count: int) -> ExtractedFeatures:
        """Features of the first images of a split; those that the run's folder lacks are generated.

        Raises:
            StrategyError: the unaccelerated pipeline failed.
        """
        found = self._kept(split)
        if found is None or found.count < count:
            found = self._grown(split, found, count)
            samples.write(found, self._path(split), self.origin)
        return found.first(count)

    def first(self, split: Split) -> ExtractedFeatures:
        """Features of the first image of a split; it is generated if it is not there."""
        found = self._kept(split)
        if found is None:
            found = self._generate(split, 0, 1)
            samples.write(found, self._path(split), self.origin)
        return found.first(1)

    def _grown(
        self, split: Split, found: ExtractedFeatures | None, count: int
    ) -> ExtractedFeatures:
        """Features with the missing ones added; images that another run has are not generated."""
        reading, known = self._reading(split), list[int]()
        done = found.count if found else 0
        # Workers read images from the run's folder only where they compare pixels.
        shared = self.shared if reading.pairs and not reading.memory else None
        if shared is not None:
            shared.look(self._study, self.first, self._tell, split, done, count)
            if found is None:  # Its first image may have been generated just now.
                found = self._kept(split)
                done = found.count if found else 0
            known = shared.put(split, done, count)
        if done < count:
            more = self._generate(split, done, count, known)
            found = found.concatenate(more) if found else more
        if shared is not None:
            shared.keep(split, 0, count)
        assert found is not None
        return found

    def missing_images(self, split: Split, count: int) -> int:
        """Number of images of a split, and of its reference, that are not generated yet."""
        sets: dict[Split, int] = {split: count}
        if self._figures.needs_reference and self._figures.view == "self":
            sets[SELF[split]] = self._config.reference_images or count
        left = 0
        for name, number in sets.items():
            done = samples.count_kept(self._path(name))
            there = self.shared.count(name, done, number) if self.shared else 0
            left += max(0, number - done - there)
        return left

    def _generate(
        self, split: Split, first: int, count: int, known: Collection[int] = ()
    ) -> ExtractedFeatures:
        """Generate prompts `first` to `count`, except those whose images are known."""
        size = max(self._config.model.batch, -(-(count - first) // self._executor.slots))
        waiting = [
            self.generation_request(f"baseline-{split}-{start}", self._strategy, split,
                         min(start + size, count), start, self._patience(size))
            for start in range(first, count, size)
        ]  # fmt: skip
        parts: dict[int, ExtractedFeatures] = {}
        left, measured = count - first, Measurements(self._study)
        self._say(f"generating the unaccelerated images, {left} to go")
        for done, outcome in self._executor.run_all(waiting):
            part, start = require_success(outcome, self._folder), done.start
            parts[start] = part
            gallery_writer.write_thumbnails(self._folder, self._strategy.digest, part, start)
            end = start + part.count
            drawn = len(set(range(start, end)) - set(known))
            measured.keep_unaccelerated(split, start, drawn, outcome.seconds)
            left -= part.count
            self._say(f"generating the unaccelerated images, {left} to go")
        if split == "heldout":
            gallery_writer.describe(self._folder, self._config.model)
        found = parts.pop(first)
        for start in sorted(parts):
            found = found.concatenate(parts[start])
        return found

    def make_scoring(self, split: Split, count: int) -> Scoring:
        """Scoring of features of a split; its reference is made if a metric needs one.

        Raises:
            StrategyError: the unaccelerated pipeline failed, or the reference cannot be read.
        """
        metrics, view = self._figures.metrics, self._figures.view
        if not self._figures.needs_reference:
            return Scoring(metrics, {})
        if view == "self":
            number = self._config.reference_images or count
            return Scoring(metrics, {view: self.sample(SELF[split], number).side()})
        if self._real is None:  # The same for both splits.
            self._real = self._read_reference()
        return Scoring(metrics, {view: self._real})

    def _read_reference(self) -> ImageSet:
        """Reference of real images, with the features that the search reads, and no others."""
        side = real_reference(self._config)
        for metric in self._figures.metrics:
            if "real" in metric.views and metric.network is not None:
                self._say(f"reading the reference for {metric.name}")
                (side.statistics if metric.gaussian else side.features)(metric.network)
        found = ImageSet(side.name, side.count, known=side.known, gaussians=side.gaussians)
        del side  # With its networks, whose memory the workers need.
        torch.cuda.empty_cache()
        return found


def _thumbnails(split: str, start: int) -> int:
    """Number of thumbnails to keep of the images from prompt `start` on."""
    return max(0, gallery.COUNT - start) if split == "heldout" else 0


def real_reference(config: SearchConfig) -> ImageSet:
    """Reference of real images that a search compares with.

    Raises:
        StrategyError: the reference cannot be read, or lacks features that the search needs.
    """
    if config.reference is None:
        assert config.model.subject is not None
        side = real_images(config.model.subject)
    else:
        networks = Networks(default_device(), subject=config.model.subject or "shapes")
        side = read_reference(config.reference, networks, config.reference_per_class)
    for metric in config.metric_set.metrics:
        there = {*side.known, *(side.gaussians if metric.gaussian else ())}
        if "real" in metric.views and side.image is None and metric.network not in there:
            raise StrategyError(
                f"{metric.name} needs {metric.network} features of every image of the reference, "
                f"but {side.name} has only {', '.join([*side.known, *side.gaussians])}; give a "
                "folder of images or --reference self, or choose other objectives"
            )
    return side
