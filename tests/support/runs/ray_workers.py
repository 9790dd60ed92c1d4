"""Workers for tests on a real Ray: no model, and requests that really go wrong."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from search.workers.messages import A, Handler, Request, Response


@dataclass
class Plain:
    """Has requests answer themselves.

    Attributes:
        folder: where it tells what it was asked, a file for each process.
        kinds: whether every process is on a device of its own kind.
    """

    folder: Path
    kinds: bool = False

    @property
    def device(self) -> str:
        return f"kind {os.getpid()}" if self.kinds else "one kind"

    def answer(self, request: Request[A]) -> Response[A]:
        with (self.folder / f"{os.getpid()}").open("a") as file:
            file.write(f"{request.key} begins {time.time()}\n")
        began = time.monotonic()
        value = request.answer_of(cast(Handler, self))
        with (self.folder / f"{os.getpid()}").open("a") as file:
            file.write(f"{request.key} ends {time.time()}\n")
        return Response(value, "", time.monotonic() - began)


@dataclass(frozen=True, kw_only=True)
class Rest(Request[int]):
    """Sleep; the answer is the process that did."""

    seconds: float

    def answer_of(self, handler: Handler) -> int:
        time.sleep(self.seconds)
        return os.getpid()


@dataclass(frozen=True, kw_only=True)
class Hang(Request[None]):
    """Never return, in one operation that does not let Python run."""

    def answer_of(self, handler: Handler) -> None:
        ctypes.PyDLL(None).sleep(10_000)


@dataclass(frozen=True, kw_only=True)
class Hoard(Request[None]):
    """Take memory until the kernel kills the process that has the most of its group."""

    group: str

    def answer_of(self, handler: Handler) -> None:
        if self.group:
            Path(self.group, "cgroup.procs").write_text(str(os.getpid()))
        else:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hoard = []
        while True:
            hoard.append(os.urandom(2**20) * 64)
