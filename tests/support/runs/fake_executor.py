"""The one fake: workers that answer at once, with figures that follow from the strategy."""

from __future__ import annotations

from collections import Counter, deque
from functools import cache

import numpy as np
from numpy.typing import NDArray

import zoo
from evaluate.extraction import ExtractedFeatures
from evaluate.images.appearance import appearance_of
from evaluate.images.thumbnails import encode_thumbnail
from evaluate.networks.base import Pixels
from evaluate.speed.latency_measurement import OverheadTiming
from search.workers.executor import Executor
from search.workers.messages import (
    A,
    AnyRequest,
    AnyResponse,
    CallTimes,
    CountMacsRequest,
    EndToEndRequest,
    RepeatRequest,
    Request,
    Response,
    SampleRequest,
    TimeCallsRequest,
)
from strategies import Strategy
from zoo.data import GROUPS

FULL = 0.02


def damage(strategy: Strategy) -> float:
    """How far a made-up strategy's features are from the unaccelerated ones."""
    shallow = sum(kind != "" for kind in strategy.kinds())
    return shallow / strategy.calls + 2.0 / strategy.calls


def make_sample(
    strategy: Strategy, split: str, count: int, start: int = 0, thumbnails: int = 0
) -> ExtractedFeatures:
    """Images `start` to `count`; an image is the same whatever is drawn beside it."""
    amount = damage(strategy)
    base, noise = _real(split == "search")
    features = (base + noise * amount).astype(np.float32)[start:count]
    size = len(features)
    judged = np.ones((size, len(GROUPS)), np.float32)
    paired = {"psnr": np.full(size, 99.0 - 10 * amount)}
    kept = tuple(encode_thumbnail(image(strategy, start + index)) for index in range(thumbnails))
    looks = np.array([_appearance(amount, index) for index in range(start, count)], np.int32)
    known = {"bundled": features, "judge": judged}
    return ExtractedFeatures(size, known, paired, thumbnails=kept, looks=looks)


def image(strategy: Strategy, index: int) -> Pixels:
    """A made-up image, 8-bit RGB `[16, 16, 3]`: the further off the more damage is done."""
    return _image(damage(strategy), index)


def _image(amount: float, index: int) -> Pixels:
    rng = np.random.default_rng(index)
    plain, noise = rng.integers(60, 196, 3), rng.normal(size=(16, 16, 3))
    return (plain + 40 * amount * noise).clip(0, 255).astype(np.uint8)


@cache
def _appearance(amount: float, index: int) -> list[int]:
    return appearance_of(_image(amount, index))


@cache
def _real(searching: bool) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Features of 256 real images, and the direction in which each is damaged."""
    rng = np.random.default_rng([searching])
    base = zoo.reference_features().numpy()[rng.integers(0, 2048, 256)]
    return base, rng.normal(size=base.shape)


class FailedError(Exception):
    """A request that fails as a test has asked for; the message is its error."""


class FakeExecutor(Executor):
    """Answers requests in the order they came; `fails` maps digests to errors."""

    def __init__(self, slots: int = 2, fails: dict[str, str] | None = None) -> None:
        self.slots, self.fails = slots, fails or {}
        self.seen: Counter[tuple[str, str]] = Counter()
        self.drawn: Counter[str] = Counter()
        self._waiting: deque[AnyRequest] = deque()
        self.stop_after: int | None = None

    def open(self) -> str:
        return "fake"

    def submit(self, request: AnyRequest) -> None:
        assert len(self._waiting) < self.slots
        self._waiting.append(request)

    def next(self) -> tuple[AnyRequest, AnyResponse]:
        request = self._waiting.popleft()
        return request, self.answer(request)

    def answer(self, request: Request[A]) -> Response[A]:
        seconds = 1.0 if isinstance(request, SampleRequest) else 0.1
        try:
            return Response(request.answer_of(self), "", seconds)
        except FailedError as error:
            return Response(None, str(error), seconds)

    def sample(self, request: SampleRequest) -> ExtractedFeatures:
        digest = request.strategy.digest
        self.seen[digest, request.split] += 1
        self.drawn[request.split] += request.count
        if self.stop_after is not None and sum(self.seen.values()) > self.stop_after:
            raise KeyboardInterrupt
        if digest in self.fails:
            raise FailedError(self.fails[digest])
        kept = request.reading.thumbnails
        return make_sample(request.strategy, request.split, request.stop, request.start, kept)

    def time_calls(self, request: TimeCallsRequest) -> CallTimes:
        kinds = {kind for one in request.strategies for kind in one.kinds()}
        around = [OverheadTiming(s, n, 0.01 + 0.001 * n) for s in request.solvers for n in (4, 12)]
        return CallTimes({kind: [cost(kind)] for kind in kinds}, around)

    def count_macs(self, request: CountMacsRequest) -> dict[str, float]:
        kinds = {kind for one in request.strategies for kind in one.kinds()}
        return {kind: 8.0 if kind == "" else 2.0 for kind in kinds}

    def repeat(self, request: RepeatRequest) -> float:
        return 0.0

    def time_end_to_end(self, request: EndToEndRequest) -> list[float]:
        return [latency(one) for one in request.strategies]

    def close(self) -> None:
        self._waiting.clear()


def cost(kind: str) -> float:
    return FULL if kind == "" else FULL / 4 if "depth" in kind else FULL * 0.8


def latency(strategy: Strategy) -> float:
    return 0.01 + sum(0.001 + cost(kind) for kind in strategy.kinds())
