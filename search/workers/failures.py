"""Whose fault a dead worker is: the request's that it was on, the machine's, or nobody's.

A request that has killed `MAX_KILLS` workers is given up. So many deaths in a row, whatever the
requests, mean that the machine is not fit. What died together with its node counts for neither.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

MAX_KILLS = 2
MAX_DEATHS = 6


@dataclass
class Casualties:
    """The deaths of a pool. Nodes are named by ids, "" being one that is not known.

    Attributes:
        kills: by request, the nodes on which workers died of it.
        lost: by request, the seconds that went with them.
        row: nodes of the deaths since the last answer.
        errors: by request, what it failed with on a worker that was broken afterwards.
    """

    kills: dict[str, list[str]] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)
    row: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    def died(self, node: str, key: str | None, seconds: float) -> None:
        """A worker died on a node, after so many seconds on the request `key` if on any."""
        self.row.append(node)
        if key is not None:
            self.kills.setdefault(key, []).append(node)
            self.lost[key] = self.lost.get(key, 0.0) + seconds

    def answered(self) -> None:
        """A worker has answered, so the machine is fit for it."""
        self.row.clear()

    def broke(self, node: str, key: str | None, seconds: float, error: str) -> None:
        """A worker was found to be broken after it failed a request, and is replaced."""
        self.died(node, key, seconds)
        if key is not None:
            self.errors[key] = error

    def verdict(self, key: str) -> str:
        """Why a request that is given up is."""
        if key in self.errors:
            return f"broke its worker {MAX_KILLS} times: {self.errors[key]}"
        return f"killed its worker {MAX_KILLS} times"

    def paid(self, key: str) -> float:
        """The seconds that were lost on a request so far, to be counted with its answer."""
        return self.lost.pop(key, 0.0)

    def poisonous(self, key: str, alive: Collection[str]) -> bool:
        """Whether a request has killed too many workers on nodes that are still alive."""
        return _at_fault(self.kills.get(key, []), alive) >= MAX_KILLS

    def hopeless(self, alive: Collection[str]) -> bool:
        """Whether too many workers in a row have died on nodes that are still alive."""
        return _at_fault(self.row, alive) >= MAX_DEATHS


def hopeless(deaths: int, error: str = "") -> str:
    """What to say where worker after worker dies or breaks."""
    workers = f"{deaths} workers died one after the other"
    if error:
        workers = f"a fresh worker cannot draw the unaccelerated image, either ({error})"
    return (
        f"{workers}; the device or its memory is not fit for this model. What failed last is not "
        "recorded; mend that first"
    )


def _at_fault(nodes: list[str], alive: Collection[str]) -> int:
    return sum(not node or node in alive for node in nodes)
