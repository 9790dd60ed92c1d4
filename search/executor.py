"""Where requests are carried out: the interface, and the one that runs them in this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any

from search.worker import Outcome, Request, Worker


class Executor(ABC):
    """Workers that answer requests.

    Attributes:
        slots: how many requests can be under way at once.
    """

    slots: int

    @abstractmethod
    def submit(self, request: Request) -> None:
        """Hand over a request; at most `slots` may be unanswered."""

    @abstractmethod
    def next(self) -> tuple[Request, Outcome]:
        """Wait for an answer to any request."""

    @abstractmethod
    def close(self) -> None:
        """Stop the workers."""

    def alone(self, request: Request) -> Outcome:
        """Carry out one request while no other runs, as timing needs."""
        self.submit(request)
        return self.next()[1]


class InProcess(Executor):
    """One worker, here; requests run when their answer is asked for."""

    slots = 1

    def __init__(self, model: dict[str, Any], device: str) -> None:
        self._worker = Worker(model, device, threads=1)
        self._waiting: deque[Request] = deque()

    def submit(self, request: Request) -> None:
        self._waiting.append(request)

    def next(self) -> tuple[Request, Outcome]:
        request = self._waiting.popleft()
        return request, self._worker.answer(request)

    def close(self) -> None:
        self._waiting.clear()
