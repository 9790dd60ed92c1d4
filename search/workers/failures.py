"""Deaths of workers, and their consequence: repeat the request, give it up, or end the search.

A request is given up once `MAX_DEATHS_PER_REQUEST` workers have died of it. After
`MAX_DEATHS_IN_A_ROW` deaths, of whatever requests, the machine counts as unable to run the model. A
death caused by a lost node does not count.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

MAX_DEATHS_PER_REQUEST = 2
MAX_DEATHS_IN_A_ROW = 6


@dataclass
class WorkerFailures:
    """Deaths of the workers of a pool. Nodes are named by ids; "" is an unknown one.

    Attributes:
        kills: nodes on which workers died of a request, by its key.
        lost: seconds that were lost with them, by the request's key.
        row: nodes of the deaths since the last answer.
        errors: error of a request on a worker that was found to be broken, by its key.
        reasons: fate of the last worker that died of a request, by its key, if it is known.
    """

    kills: dict[str, list[str]] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)
    row: list[str] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def record_death(self, node: str, key: str | None, seconds: float, reason: str = "") -> None:
        """Record that a worker died `seconds` after it began the request `key`, if any."""
        self.row.append(node)
        if key is not None:
            self.kills.setdefault(key, []).append(node)
            self.lost[key] = self.lost.get(key, 0.0) + seconds
            if reason:
                self.reasons[key] = reason

    def record_answer(self) -> None:
        """Record that a worker has answered, so the machine can run the model."""
        self.row.clear()

    def broke(self, node: str, key: str | None, seconds: float, error: str) -> None:
        """Record that a worker was broken after it failed a request, and is replaced."""
        self.record_death(node, key, seconds)
        if key is not None:
            self.errors[key] = error

    def verdict(self, key: str) -> str:
        """Reason why a request is given up."""
        if key in self.errors:
            return f"broke its worker {MAX_DEATHS_PER_REQUEST} times: {self.errors[key]}"
        reason = f": {self.reasons[key]}" if key in self.reasons else ""
        return f"killed its worker {MAX_DEATHS_PER_REQUEST} times{reason}"

    def pop_lost_seconds(self, key: str) -> float:
        """Seconds that were lost on a request so far, to be counted with its answer."""
        return self.lost.pop(key, 0.0)

    def should_quarantine(self, key: str, alive: Collection[str]) -> bool:
        """Whether a request has killed too many workers on nodes that are still alive."""
        return _at_fault(self.kills.get(key, []), alive) >= MAX_DEATHS_PER_REQUEST

    def should_abort(self, alive: Collection[str]) -> bool:
        """Whether too many workers in a row have died on nodes that are still alive."""
        return _at_fault(self.row, alive) >= MAX_DEATHS_IN_A_ROW


def lost_workers_message(deaths: int, error: str = "") -> str:
    """Error message for a search in which one worker after the other dies or breaks."""
    workers = f"{deaths} workers died one after the other"
    if error:
        workers = f"a fresh worker cannot generate the unaccelerated image, either ({error})"
    return (
        f"{workers}; the device or its memory is not fit for this model. The last failure is not "
        "recorded; fix that first"
    )


def _at_fault(nodes: list[str], alive: Collection[str]) -> int:
    return sum(not node or node in alive for node in nodes)
