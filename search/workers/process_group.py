"""Process group: the processes that carry out the requests of one worker together.

Every process gets every request and makes the same generations. The first one leads: its answer is
the worker's. Decisions that depend on more than the request are the leader's, and the others follow
them. A worker of a single process is a group of one, which asks nobody.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch.distributed as dist

PATIENCE = timedelta(days=1)  # The pool ends groups that hang.
Meeting = tuple[str, int]  # Host and port of the leader's store.


class ProcessGroup:
    """One process's place in its group.

    Args:
        rank: number of this process; 0 leads.
        size: number of processes.
        store: key-value store that all of them reach; None for a group of one.
    """

    def __init__(self, rank: int = 0, size: int = 1, store: Any = None) -> None:
        self.rank, self.size, self._store = rank, size, store
        self._words = None if store is None else _prefixed("words", store)
        self._said = 0

    def join(self, device: str) -> None:
        """Start torch's process group, by NCCL on GPUs and by gloo elsewhere."""
        if self.size == 1:
            return
        dist.init_process_group(
            "nccl" if device.startswith("cuda") else "gloo",
            store=_prefixed("torch", self._store),
            rank=self.rank,
            world_size=self.size,
            timeout=PATIENCE,
        )

    def leaders(self, value: Any) -> Any:
        """The leader's value in every process; it is plain JSON."""
        return value if self._words is None else self._gathered(value)[0]

    def slowest(self, seconds: Sequence[float]) -> list[float]:
        """The largest of the processes' times, for each of several measurements."""
        if self._words is None:
            return list(seconds)
        return [max(times) for times in zip(*self._gathered(list(seconds)), strict=True)]

    def wait(self) -> None:
        """Wait until every process is here."""
        if self._words is not None:
            self._gathered(None)

    def _gathered(self, value: Any) -> list[Any]:
        """The values that all processes give, by rank."""
        assert self._words is not None
        turn, self._said = self._said, self._said + 1
        self._words.set(f"{turn}-{self.rank}", json.dumps(value))
        found = [self._words.get(f"{turn}-{rank}") for rank in range(self.size)]
        if turn > 1:  # All have read what they said two turns ago.
            self._words.delete_key(f"{turn - 2}-{self.rank}")
        return [json.loads(text) for text in found]


def open_group(host: str, size: int) -> tuple[ProcessGroup, Meeting]:
    """Open a group as its leader.

    Args:
        host: address of this machine.
        size: number of processes.

    Returns:
        The leader's place, and where the others meet it.
    """
    store = _store(host, 0, size, leads=True)
    return ProcessGroup(0, size, store), (host, store.port)


def enter_group(meeting: Meeting, rank: int, size: int) -> ProcessGroup:
    """Enter the group of a leader."""
    host, port = meeting
    return ProcessGroup(rank, size, _store(host, port, size, leads=False))


def _store(host: str, port: int, size: int, leads: bool) -> Any:
    """Key-value store of a group; the leader serves it, at a free port if `port` is 0."""
    return dist.TCPStore(  # type: ignore[attr-defined]
        host, port, size, leads, PATIENCE, wait_for_workers=False
    )


def _prefixed(name: str, store: Any) -> Any:
    """The part of a store whose keys begin with a name."""
    return dist.PrefixStore(name, store)  # type: ignore[attr-defined]
