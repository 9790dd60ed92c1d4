"""Executors: the interface of all, and the one that works in this process."""

from __future__ import annotations

import signal
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import FrameType
from typing import Any, Protocol, overload

from evaluate.extraction import ExtractedFeatures
from search.errors import WorkersLostError
from search.workers.failures import MAX_DEATHS_PER_REQUEST, lost_workers_message
from search.workers.messages import (
    A,
    AnyRequest,
    AnyResponse,
    Request,
    Response,
    SampleRequest,
)

Answer = tuple[AnyRequest, AnyResponse]
Report = Callable[[str], None]
LATE = "took longer than its limit"


class RequestHandler(Protocol):
    """Object that carries out requests: `search.workers.worker.Worker`, or a simulation of it."""

    @property
    def device(self) -> str:
        """Name of the device; scores and times compare only between workers with the same name."""

    def answer(self, request: Request[A]) -> Response[A]:
        """Carry out a request."""


class Executor(ABC):
    """Workers that carry out requests.

    Attributes:
        slots: number of requests that can be under way; it changes as workers join and leave.
        report: callback with a few words about what the search waits for.
        crowded: whether the workers share the cores of one machine.
        most: number of workers that are used at once; None uses all.
        check: request that every sound worker answers. A worker that fails another request gets it
            next. If it fails this too, the worker is replaced and the request is repeated. None
            checks nothing.
    """

    slots: int
    crowded = False
    most: int | None = None
    check: AnyRequest | None = None
    report: Report = staticmethod(lambda _: None)

    def open(self) -> str:
        """Start the workers; returns the name of their device.

        Raises:
            StrategyError: there are no workers, or their devices are of different kinds.
        """
        return ""

    @abstractmethod
    def submit(self, request: AnyRequest) -> None:
        """Hand over a request; at most `slots` of them may be unanswered."""

    @abstractmethod
    def next(self) -> Answer | None:
        """Wait for an answer to any request; returns None if the number of slots has changed."""

    @abstractmethod
    def close(self) -> None:
        """Stop the workers."""

    def run_exclusive(self, request: Request[A]) -> Response[A]:
        """Carry out one request while no other is under way, as timing needs."""
        self.submit(request)
        while (answer := self.next()) is None:
            pass
        return answer[1]

    @overload
    def run_all(
        self, requests: Iterable[SampleRequest]
    ) -> Iterator[tuple[SampleRequest, Response[ExtractedFeatures]]]: ...

    @overload
    def run_all(
        self, requests: Iterable[Request[A]]
    ) -> Iterator[tuple[Request[A], Response[A]]]: ...

    def run_all(self, requests: Iterable[AnyRequest]) -> Iterator[tuple[Any, AnyResponse]]:
        """Carry out all requests, as many at once as there are slots; yields answers as they come.

        A request is taken from `requests` only when there is room for it.
        """
        waiting, running, more = iter(requests), 0, True
        while True:
            while more and running < self.slots:
                request = next(waiting, None)
                more = request is not None
                if request is not None:
                    self.submit(request)
                    running += 1
            if not running and (not more or self.slots):
                return
            answer = self.next()
            if answer is not None:
                running -= 1
                yield answer


class InProcessExecutor(Executor):
    """One worker in this process; a request runs when its answer is asked for.

    A request over its limit is cancelled between two Python operations. So an operation that never
    returns cannot be cancelled, and a request that exhausts the machine's memory ends this process.
    Workers in processes of their own (`search.workers.ray_backend`) have neither weakness.

    Args:
        make: makes the worker.
    """

    slots = 1

    def __init__(self, make: Callable[[], RequestHandler]) -> None:
        self._make = make
        self._worker: RequestHandler | None = None
        self._waiting: deque[AnyRequest] = deque()

    def open(self) -> str:
        self._worker = self._worker or self._make()
        return self._worker.device

    def submit(self, request: AnyRequest) -> None:
        self._waiting.append(request)

    def next(self) -> Answer:
        request, seconds = self._waiting.popleft(), 0.0
        for _ in range(MAX_DEATHS_PER_REQUEST):
            outcome = self._ask(request)
            seconds += outcome.seconds
            if not outcome.error:
                return request, replace(outcome, seconds=seconds)
            broken = self._broken()
            seconds += broken.seconds
            if not broken.error:
                return request, replace(outcome, seconds=seconds)
            self.report("replacing a worker that is broken")
            self._worker = None
        again = self._broken()
        if again.error:
            raise WorkersLostError(lost_workers_message(1, again.error))
        reason = f"broke its worker {MAX_DEATHS_PER_REQUEST} times: {outcome.error}"
        return request, Response(None, reason, seconds + again.seconds)

    def _ask(self, request: AnyRequest) -> AnyResponse:
        began = time.monotonic()
        try:
            self.open()
        except Exception as error:  # A device that is broken cannot load the model, either.
            if self.check is None:
                raise
            return Response(None, f"{type(error).__name__}: {first_line(error)}", 0.0)
        assert self._worker is not None
        try:
            with TimeLimit(request.time_limit):
                return self._worker.answer(request)
        except TimeLimitExceeded:
            self._worker = None  # A cancelled request may have left it in any state.
            return timed_out(request, time.monotonic() - began)

    def _broken(self) -> AnyResponse:
        """Outcome of the check after a failed request; it has no error if the worker is sound."""
        if self.check is None:
            return Response(None, "", 0.0)
        return self._ask(self.check)

    def close(self) -> None:
        self._waiting.clear()


class TimeLimitExceeded(BaseException):
    """The limit of a request is over. It is no `Exception`, so that nothing catches it as one."""


class TimeLimit:
    """Context that raises `TimeLimitExceeded` after `limit` seconds.

    Only the main thread can be interrupted; elsewhere, or if the limit is None, it does nothing.
    """

    def __init__(self, limit: float | None) -> None:
        main = threading.current_thread() is threading.main_thread()
        self._limit = limit if main and hasattr(signal, "setitimer") else None

    def __enter__(self) -> None:
        if self._limit is not None:
            self._former = signal.signal(signal.SIGALRM, _ring)
            signal.setitimer(signal.ITIMER_REAL, self._limit)

    def __exit__(self, *_: object) -> None:
        if self._limit is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._former)


def _ring(number: int, frame: FrameType | None) -> Any:
    raise TimeLimitExceeded


def first_line(error: BaseException) -> str:
    """First line of an error's text."""
    return next(iter(str(error).splitlines()), "")


def timed_out(request: AnyRequest, seconds: float) -> AnyResponse:
    """Outcome of a request that was cancelled."""
    return Response(None, f"{LATE} of {request.time_limit:.0f} s", seconds)
