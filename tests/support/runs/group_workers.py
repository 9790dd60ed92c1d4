"""Workers of two processes for tests on a real Ray: no model, and processes that really die."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from search.workers.messages import A, Handler, Request, Response
from search.workers.process_group import ProcessGroup


@dataclass
class Member:
    """Has requests answer themselves, and says which processes there are.

    Attributes:
        folder: folder with a file for each process, named after it.
        group: place of the process in its group.
    """

    folder: Path
    group: ProcessGroup = field(default_factory=ProcessGroup)

    def __post_init__(self) -> None:
        (self.folder / str(os.getpid())).write_text(str(self.group.rank))

    @property
    def device(self) -> str:
        return f"{self.group.size} processes"

    def answer(self, request: Request[A]) -> Response[A]:
        try:
            value = request.answer_of(cast(Handler, self))
        except ArithmeticError as error:
            return Response(None, str(error), 1.0)
        return Response(value, "", 1.0)


def group_of(handler: Handler) -> ProcessGroup:
    return cast(Member, handler).group


@dataclass(frozen=True, kw_only=True)
class Agree(Request[list[float]]):
    """The leader's number, and the largest of all."""

    def answer_of(self, handler: Handler) -> list[float]:
        group = group_of(handler)
        return [group.leaders(10.0 + group.rank), *group.slowest([1.0 + group.rank])]


@dataclass(frozen=True, kw_only=True)
class Die(Request[None]):
    """A process dies while the others wait for it.

    Attributes:
        rank: number of the process that dies.
        once: file that is written first; if it exists, no process dies.
    """

    rank: int
    once: str = ""

    def answer_of(self, handler: Handler) -> None:
        group = group_of(handler)
        spared = group.leaders(bool(self.once) and Path(self.once).exists())
        group.wait()
        if self.once:
            Path(self.once).touch()
        if group.rank == self.rank and not spared:
            os.kill(os.getpid(), signal.SIGKILL)
        group.wait()


@dataclass(frozen=True, kw_only=True)
class Fail(Request[None]):
    """Processes fail; the others wait for them.

    Attributes:
        ranks: numbers of the processes that fail.
    """

    ranks: tuple[int, ...]

    def answer_of(self, handler: Handler) -> None:
        group = group_of(handler)
        if group.rank in self.ranks:
            raise ArithmeticError("no numbers")
        time.sleep(600)
