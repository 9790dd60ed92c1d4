"""Workers on a virtual clock that join, die and hang as told, under the real pool."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from search.workers.backend import WorkerBackend, WorkerDiedError
from search.workers.messages import AnyRequest, AnyResponse, Handler, Request, Response
from strategies import StrategyError

FOREVER = 1e12


@dataclass(frozen=True, kw_only=True)
class Lasting(Request[str]):
    """A request that takes so many seconds; its key is the answer."""

    seconds: float

    def answer_of(self, handler: Handler) -> str:
        return self.key


def answer(request: AnyRequest) -> AnyResponse:
    """The outcome of a request that lasts."""
    assert isinstance(request, Lasting)
    return Response(request.key, "", request.seconds)


@dataclass(eq=False)
class Process:
    """A worker, or one that waits for room where it has no node."""

    node: str = ""
    alive: bool = True


@dataclass(eq=False)
class Call:
    """What a process is doing, until when, and what comes of it."""

    process: Process
    ends: float
    value: Any


class Simulation(WorkerBackend):
    """Nodes by name, with room for so many workers each.

    Args:
        nodes: the room on each.
        answer: of a request its outcome; its `seconds` pass on the clock. An outcome whose error is
            `dies` ends the process instead.
        device: of each node.
    """

    def __init__(
        self,
        nodes: dict[str, int],
        answer: Callable[[AnyRequest], AnyResponse],
        device: Callable[[str], str] = lambda node: "one kind",
    ) -> None:
        self.nodes, self.answer, self.device = dict(nodes), answer, device
        self.clock = 0.0
        self.processes: list[Process] = []
        self.events: list[tuple[float, Callable[[], None]]] = []
        self.busy: list[tuple[float, float, str, str]] = []  # Begin, end, node, key.

    def capacity(self) -> int:
        return sum(self.nodes.values())

    def start(self) -> Process:
        process = Process()
        self.processes.append(process)
        self._settle()
        return process

    def _settle(self) -> None:
        for process in self.processes:
            for node, room in self.nodes.items():
                if process.alive and not process.node and room > self._on(node):
                    process.node = node

    def _on(self, node: str) -> int:
        return sum(p.alive and p.node == node for p in self.processes)

    def call(self, handle: Process, method: str, *arguments: Any) -> Call:
        if method == "place":
            return Call(handle, self.clock, None)
        if method == "load":
            return Call(handle, self.clock + 1.0, self.device(handle.node))
        (request,) = arguments
        outcome = self.answer(request)
        end = self.clock + outcome.seconds
        self.busy.append((self.clock, end, handle.node, request.key))
        return Call(handle, end, outcome)

    def _ends(self, call: Call) -> float:
        if not call.process.alive:
            return self.clock
        return call.ends if call.process.node else FOREVER

    def wait(self, calls: Collection[Call], seconds: float) -> Call | None:
        limit = self.clock + seconds
        while True:
            first = min(calls, key=self._ends)
            event = min(self.events, key=lambda e: e[0], default=(FOREVER, None))
            until = min(limit, self._ends(first))
            if event[0] <= until:
                self.events.remove(event)  # type: ignore[arg-type]
                self.clock = max(self.clock, event[0])
                assert event[1] is not None
                event[1]()
                self._settle()
                continue
            self.clock = max(self.clock, until)
            return first if self._ends(first) <= self.clock else None

    def result(self, call: Call) -> Any:
        if not call.process.alive:
            raise WorkerDiedError
        if call.value is None:
            return call.process.node
        if isinstance(call.value, Response) and call.value.error == "dies":
            self.kill(call.process)
            raise WorkerDiedError
        if call.value == "broken":
            raise StrategyError("a worker cannot be used: no such model")
        return call.value

    def kill(self, handle: Process) -> None:
        handle.alive = False
        self._settle()

    def lose(self, node: str) -> None:
        """A node goes, with all that is on it."""
        del self.nodes[node]
        for process in self.processes:
            if process.node == node:
                process.alive = False

    def alive(self) -> set[str]:
        return set(self.nodes)

    def close(self) -> None:
        for process in self.processes:
            process.alive = False

    def now(self) -> float:
        return self.clock

    def pause(self, seconds: float) -> None:
        self.clock += seconds
