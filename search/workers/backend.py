"""Interface by which workers are started and called, and a pool's record of each worker."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from search.workers.messages import AnyRequest, AnyResponse


class WorkerDiedError(Exception):
    """The worker that was called has died; its text says how, if it is known."""


class WorkerBackend(ABC):
    """Interface by which a pool starts and calls workers; Ray implements it."""

    @abstractmethod
    def capacity(self) -> int:
        """Number of workers that would fit if nothing else ran."""

    @abstractmethod
    def start(self) -> Any:
        """Ask for a worker, which starts when there is room for it; returns its handle."""

    @abstractmethod
    def call(self, handle: Any, method: str, *arguments: Any) -> Any:
        """Call `place` (returns the node), `load` (the device) or `answer`; returns the call."""

    @abstractmethod
    def wait(self, calls: Collection[Any], seconds: float) -> Any:
        """A call that has ended, or None if none ends within `seconds`."""

    @abstractmethod
    def result(self, call: Any) -> Any:
        """Result of a call that has ended.

        Raises:
            WorkerDiedError: the worker died.
            StrategyError: the worker could not be made.
        """

    @abstractmethod
    def kill(self, handle: Any) -> None:
        """End a worker, whatever it does."""

    @abstractmethod
    def alive(self) -> set[str]:
        """Ids of the nodes that are alive."""

    @abstractmethod
    def close(self) -> None:
        """Release everything."""

    def now(self) -> float:
        """The time in seconds."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Do nothing for a while."""
        time.sleep(seconds)


@dataclass(eq=False)
class PooledWorker:
    """One worker, as the pool knows it.

    Attributes:
        handle: handle of the worker.
        state: `placing`, `placed`, `loading`, `idle` or `busy`; `apart` on another kind of device.
        node: id of its node, once it is placed.
        request: request that it works on.
        began: time at which its state began.
        suspect: request that it failed, with the outcome, while the worker is checked.
    """

    handle: Any
    state: str = "placing"
    node: str = ""
    request: AnyRequest | None = None
    began: float = 0.0
    suspect: tuple[AnyRequest, AnyResponse] | None = None
