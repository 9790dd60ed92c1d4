"""Messages between a search and its workers: requests, and the type of each answer.

A kind of request is a class here and a method of `Handler`, which `search.workers.worker.Worker`
implements. Messages are plain data: they are sent to other processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from evaluate.evaluator import Split
from evaluate.extraction import ExtractedFeatures, ExtractionSpec
from evaluate.speed.latency_measurement import OverheadTiming
from strategies import Strategy

A = TypeVar("A")


@dataclass(frozen=True, kw_only=True)
class Request(ABC, Generic[A]):
    """A request to a worker; `A` is the type of the answer.

    Attributes:
        key: name of the request among those under way.
        time_limit: seconds after which it is cancelled; None waits for ever.
    """

    key: str
    time_limit: float | None = None

    @abstractmethod
    def answer_of(self, handler: Handler) -> A:
        """Have a handler carry out this request; returns its answer."""


@dataclass(frozen=True)
class Response(Generic[A]):
    """Answer to a request.

    Attributes:
        value: the answer; None if the request failed.
        error: reason of the failure in one line, or empty.
        seconds: device time that it took, see `search.workers.cost_meter`.
    """

    value: A | None
    error: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SampleRequest(Request[ExtractedFeatures]):
    """Generate images, and send back their features.

    Attributes:
        strategy: strategy to generate with.
        split: name of the prompts.
        start, stop: number of the first prompt, and of the one after the last.
        reading: features to read of every image.
        unaccelerated: folder of the unaccelerated images, for metrics that compare pixels.
    """

    strategy: Strategy
    split: Split
    start: int = 0
    stop: int
    reading: ExtractionSpec
    unaccelerated: str = ""

    @property
    def count(self) -> int:
        """Number of images."""
        return self.stop - self.start

    def answer_of(self, handler: Handler) -> ExtractedFeatures:
        return handler.sample(self)


@dataclass(frozen=True)
class CallTimes:
    """Seconds of one turn of the latency table.

    Attributes:
        kinds: seconds of the denoiser at each call, by kind of call.
        around: seconds outside of the denoiser.
    """

    kinds: dict[str, list[float]]
    around: list[OverheadTiming]


@dataclass(frozen=True, kw_only=True)
class TimeCallsRequest(Request[CallTimes]):
    """Time every call of some strategies once, and generations with some solvers."""

    strategies: tuple[Strategy, ...] = ()
    solvers: tuple[str, ...] = ()

    def answer_of(self, handler: Handler) -> CallTimes:
        return handler.time_calls(self)


@dataclass(frozen=True, kw_only=True)
class CountMacsRequest(Request[dict[str, float]]):
    """Count the multiply-accumulates of some strategies, by kind of call."""

    strategies: tuple[Strategy, ...]

    def answer_of(self, handler: Handler) -> dict[str, float]:
        return handler.count_macs(self)


@dataclass(frozen=True, kw_only=True)
class RepeatRequest(Request[float]):
    """Generate the first prompt twice; how far apart the images are, in levels of 255."""

    strategy: Strategy

    def answer_of(self, handler: Handler) -> float:
        return handler.repeat(self)


@dataclass(frozen=True, kw_only=True)
class EndToEndRequest(Request[list[float]]):
    """Time one image with each strategy, one after the other, in seconds."""

    strategies: tuple[Strategy, ...]

    def answer_of(self, handler: Handler) -> list[float]:
        return handler.time_end_to_end(self)


class Handler(Protocol):
    """Something that carries out requests: one method for each kind."""

    def sample(self, request: SampleRequest) -> ExtractedFeatures:
        """Generate images, and read them."""

    def time_calls(self, request: TimeCallsRequest) -> CallTimes:
        """Time calls of the denoiser."""

    def count_macs(self, request: CountMacsRequest) -> dict[str, float]:
        """Count multiply-accumulates."""

    def repeat(self, request: RepeatRequest) -> float:
        """Generate one image twice, and compare both."""

    def time_end_to_end(self, request: EndToEndRequest) -> list[float]:
        """Time whole generations."""


AnyRequest = Request[Any]
AnyResponse = Response[Any]
