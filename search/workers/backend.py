"""How workers are started and called, and what a pool knows of each."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from search.workers.messages import AnyOutcome, AnyRequest


class Dead(Exception):  # noqa: N818
    """The worker that was called is no more."""


class Hands(ABC):
    """How workers are started and called: what a pool needs of Ray."""

    @abstractmethod
    def room(self) -> int:
        """How many workers there would be room for if nothing else ran."""

    @abstractmethod
    def start(self) -> Any:
        """Ask for a worker, which comes when there is room for it; returns its handle."""

    @abstractmethod
    def call(self, handle: Any, method: str, *arguments: Any) -> Any:
        """Call `place` (tells the node), `load` (the device) or `answer`; what to wait for."""

    @abstractmethod
    def wait(self, calls: Collection[Any], seconds: float) -> Any:
        """One of the calls that has ended, or None if none ends in so many seconds."""

    @abstractmethod
    def result(self, call: Any) -> Any:
        """What a call that has ended returned.

        Raises:
            Dead: the worker died.
            StrategyError: the worker could not be made.
        """

    @abstractmethod
    def kill(self, handle: Any) -> None:
        """End a worker, whatever it does."""

    @abstractmethod
    def alive(self) -> set[str]:
        """Ids of the nodes that are there."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""

    def now(self) -> float:
        """The time in seconds."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Do nothing for a while."""
        time.sleep(seconds)


@dataclass(eq=False)
class Member:
    """One worker, as the pool knows it.

    Attributes:
        state: `placing`, `placed`, `loading`, `idle`, `busy`; `apart` on another kind of device.
        node: id, once it is placed.
        request: what it is on.
        began: when its state began.
        suspect: a request that it failed and how, while it is checked.
    """

    handle: Any
    state: str = "placing"
    node: str = ""
    request: AnyRequest | None = None
    began: float = 0.0
    suspect: tuple[AnyRequest, AnyOutcome] | None = None
