"""Images of finalists on held-out prompts: drawn part by part, and every part kept.

A finalist is scored on growing sets of prompts, see `search.costs.heldout_rungs`. Every part that
is drawn is kept, so a run that is stopped draws only what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evaluate.extraction import ExtractedFeatures, ExtractionSpec
from search.costs.cost_model import CostModel
from search.costs.cost_tracker import CostTracker
from search.images import feature_cache as samples
from search.images import gallery_writer
from search.images.shipped_samples import ShippedSamples
from search.images.unaccelerated import UnacceleratedImages
from search.study.finalist_notes import FinalistNotes
from search.study.study import Study
from search.workers.messages import SampleRequest
from strategies import Strategy

FOLDER = "finalists"  # Of a run, with the samples.


class HeldoutImages:
    """Images of the finalists of one run, as the features that are kept of them.

    Args:
        images: makes requests, and knows which kept features may be used.
        study: log of the run, which has the device time of each part.
        folder: folder of the run.
        reading: what is read of every image.
        costs: latency of a strategy.
        accounts: seconds after which drawing is given up.
        shipped: samples of baselines that need no drawing, if there are any.
        step: images of a part.
    """

    def __init__(
        self,
        images: UnacceleratedImages,
        study: Study,
        folder: Path,
        reading: ExtractionSpec,
        costs: CostModel,
        accounts: CostTracker,
        shipped: ShippedSamples | None,
        step: int,
    ) -> None:
        self._images, self._notes, self._folder = images, FinalistNotes(study), folder
        self._reading, self._costs, self._accounts = reading, costs, accounts
        self._shipped, self._step = shipped, step
        self._there: dict[str, dict[int, ExtractedFeatures]] = {}

    def requests(self, strategy: Strategy, start: int, count: int) -> Iterator[SampleRequest]:
        """Requests for what is missing of prompts `start` to `count`."""
        latency = self._costs.latency(strategy)
        for begin in range(start, count, self._step):
            end = min(begin + self._step, count)
            if self._is_kept(strategy.digest, begin, end):
                continue
            limit = self._accounts.time_limit(latency, end - begin)
            key = f"{strategy.digest}:{begin}"
            yield self._images.generation_request(key, strategy, "heldout", end, begin, limit)

    def missing(self, strategy: Strategy, start: int, count: int) -> int:
        """Number of images that are not drawn of prompts `start` to `count`."""
        return sum(request.count for request in self.requests(strategy, start, count))

    def take(self, request: SampleRequest, sample: ExtractedFeatures, seconds: float) -> None:
        """Keep a part that was drawn.

        Args:
            request: one of `requests`.
            sample: the answer to it.
            seconds: device time that it took.
        """
        digest, start, end = request.strategy.digest, request.start, request.stop
        gallery_writer.write_thumbnails(self._folder, digest, sample, start)
        samples.write(sample, self._path(digest, start, end), self._images.origin)
        self._notes.keep_part(digest, start, seconds)
        self._there.setdefault(digest, {})[start] = sample

    def sample(self, digest: str, count: int) -> ExtractedFeatures | None:
        """The first `count` images of a finalist; None where some are missing."""
        found: ExtractedFeatures | None = None
        while (done := 0 if found is None else found.count) < count:
            end = min(done + self._step, count)
            if not self._is_kept(digest, done, end):
                return None
            part = self._there[digest][done]
            found = part if found is None else found.concatenate(part)
        return found

    def _is_kept(self, digest: str, start: int, end: int) -> bool:
        there = self._there.setdefault(digest, {})
        if start not in there and self._notes.has_part(digest, start):
            reading = replace(self._reading, memory=self._reading.memory and not start)
            path = self._path(digest, start, end)
            one = self._images.kept(path, end - start, reading)
            if one is not None:
                there[start] = one
        if start not in there and (one := self._shipped_part(digest, start, end)) is not None:
            there[start] = one
        return start in there and there[start].count == end - start

    def _shipped_part(self, digest: str, start: int, end: int) -> ExtractedFeatures | None:
        """A part that ships with the model, once the first part was drawn alike."""
        first = self._there[digest].get(0)
        if self._shipped is None or first is None or not start:
            return None
        return self._shipped.part(digest, start, end, self._reading, first)

    def _path(self, digest: str, start: int, end: int) -> Path:
        return self._folder / FOLDER / f"{digest}-{start}-{end}.safetensors"
