"""Many workers as one executor: who joins, who is ready, who has died or hangs.

Workers join when there is room for them, also where room comes later, and are replaced when they
die. A worker that dies costs the request it was on, which goes to another (`search.casualties`). A
request that takes longer than its limit is given up at once, with its worker.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from search.casualties import MAX_DEATHS, MAX_KILLS, Casualties
from search.executor import Answer, Executor, too_long
from search.worker import Outcome, Request
from strategies import StrategyError

TICK = 5.0  # Seconds between two looks at whether anything has hung.
PATIENCE = 60.0  # Seconds to wait for further workers once one is ready.
SETTLE = 30.0  # Seconds that it may take until a machine is known to be gone.


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
    """

    handle: Any
    state: str = "placing"
    node: str = ""
    request: Request | None = None
    began: float = 0.0


class Pool(Executor):
    """So many workers.

    Args:
        hands: how they are started and called.
        workers: how many, at most.
    """

    def __init__(self, hands: Hands, workers: int) -> None:
        self._hands, self._workers, self._device = hands, workers, ""
        self._members: list[Member] = []
        self._pending: dict[Any, Member] = {}
        self._again: deque[Request] = deque()
        self._done: deque[Answer | None] = deque()
        self._casualties = Casualties()
        self._quiet = self._opened = False

    @property
    def slots(self) -> int:  # type: ignore[override]
        """Workers that are ready."""
        return sum(member.state in ("idle", "busy") for member in self._members)

    def open(self) -> str:
        """Start workers and wait for as many as there is room for, or `PATIENCE` after the first.

        Raises:
            StrategyError: they are on devices of different kinds, or cannot load the model.
        """
        while len(self._members) < self._workers:
            self._join()
        wanted, since = max(1, min(self._workers, self._hands.room())), 0.0
        while (ready := self.slots) < wanted:
            since = since or (self._hands.now() if ready else 0.0)
            if since and self._hands.now() - since > PATIENCE:
                break
            self.report(f"starting workers, {ready} of {wanted} ready")
            self._wait()
        self._opened = True
        self._done.clear()
        return self._device

    def _join(self) -> None:
        member = Member(self._hands.start())
        self._members.append(member)
        self._call(member, "placing", "place")

    def _call(self, member: Member, state: str, method: str, *arguments: Any) -> None:
        member.state, member.began = state, self._hands.now()
        self._pending[self._hands.call(member.handle, method, *arguments)] = member

    def _load(self) -> None:
        """Let those that have a place load, unless something is being timed beside them."""
        for member in self._members:
            if member.state == "placed" and not (self._quiet and self.slots):
                self._call(member, "loading", "load")

    def submit(self, request: Request) -> None:
        self._again.append(request)
        self._dispatch()

    def _dispatch(self) -> None:
        for member in reversed(self._members):
            if member.state == "idle" and self._again:
                member.request = self._again.popleft()
                self._call(member, "busy", "answer", member.request)

    def next(self) -> Answer | None:
        while not self._done:
            self._wait()
        return self._done.popleft()

    def alone(self, request: Request) -> Outcome:
        """Also waits until no worker is loading its model, and lets none begin meanwhile."""
        while any(m.state in ("busy", "loading") for m in self._members) or not self.slots:
            self._wait()
        held, self._done = self._done, deque()
        self._quiet = True
        self.submit(request)
        while not any(self._done):
            self._wait()
        self._quiet = False
        self._load()
        found = next(answer for answer in self._done if answer is not None)
        self._done = held
        return found[1]

    def _wait(self) -> None:
        """Take in the next thing that happens: a place, a loaded model, an answer, a death."""
        ended = self._hands.wait(self._pending.keys(), self._patience())
        if ended is None:
            self._break_off()
            if not self.slots:
                self.report("waiting for a worker to be ready")
        else:
            member = self._pending.pop(ended)
            try:
                value = self._hands.result(ended)
            except Dead:
                self._died(member)
            else:
                self._came(member, value)
        self._load()
        self._dispatch()

    def _patience(self) -> float:
        now = self._hands.now()
        ends = [
            member.began + member.request.limit - now
            for member in self._members
            if member.request is not None and member.request.limit is not None
        ]
        return max(0.0, min([TICK, *ends]))

    def _came(self, member: Member, value: Any) -> None:
        if member.state == "placing":
            member.state, member.node = "placed", value
        elif member.state == "loading":
            self._device = self._device or value
            member.state = "idle"
            if value != self._device:
                self._other(member, value)
            self._done.append(None)
        else:
            assert member.request is not None
            request, member.request, member.state = member.request, None, "idle"
            self._casualties.answered()
            lost = self._casualties.paid(request.key)
            self._done.append((request, replace(value, seconds=value.seconds + lost)))

    def _other(self, member: Member, device: str) -> None:
        """A worker on another kind of device than the first: an error at the start, else unused."""
        if not self._opened:
            raise StrategyError(
                f"the workers' devices differ: {self._device} and {device}; latency is of one kind "
                "of device, so give a cluster of one kind, or fewer --workers"
            )
        # It stays, so that its place is not tried again and again.
        member.state = "apart"
        self.report(f"leaving out a worker on another device ({device})")

    def _died(self, member: Member) -> None:
        request, elapsed = member.request, self._hands.now() - member.began
        self._remove(member)
        self._casualties.died(member.node, request.key if request else None, elapsed)
        if self._casualties.hopeless(self._hands.alive()):
            self._hands.pause(SETTLE)
            if self._casualties.hopeless(self._hands.alive()):
                raise StrategyError(
                    f"{MAX_DEATHS} workers died one after the other; the device or its memory "
                    "is not fit for this model. Mend it and go on with --resume"
                )
        if request is None:
            return
        if self._casualties.poisonous(request.key, self._hands.alive()):
            seconds = self._casualties.paid(request.key)
            reason = f"killed its worker {MAX_KILLS} times"
            self._done.append((request, Outcome(None, reason, seconds)))
        else:
            self._again.appendleft(request)

    def _remove(self, member: Member) -> None:
        """Have another worker in the place of one that is dead or must be."""
        self._hands.kill(member.handle)
        self._members.remove(member)
        self._done.append(None)
        self._join()

    def _break_off(self) -> None:
        """Give up what is over its limit, and the worker that is on it."""
        now = self._hands.now()
        for ref, member in list(self._pending.items()):
            request = member.request
            if request is None or request.limit is None or now - member.began < request.limit:
                continue
            del self._pending[ref]
            self._remove(member)
            lost = self._casualties.paid(request.key)
            self._done.append((request, too_long(request, now - member.began + lost)))

    def close(self) -> None:
        for member in self._members:
            self._hands.kill(member.handle)
        self._hands.close()
