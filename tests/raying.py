"""Workers for tests on a real Ray: no model, and requests that really go wrong."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.workers.worker import Outcome, Request


@dataclass
class Plain:
    """Answers by the request's method.

    Attributes:
        folder: where it tells what it was asked, a file for each process.
        kinds: whether every process is on a device of its own kind.
    """

    folder: Path
    kinds: bool = False

    @property
    def device(self) -> str:
        return f"kind {os.getpid()}" if self.kinds else "one kind"

    def answer(self, request: Request) -> Outcome:
        with (self.folder / f"{os.getpid()}").open("a") as file:
            file.write(f"{request.key} begins {time.time()}\n")
        began = time.monotonic()
        value = getattr(self, request.method)(*request.arguments)
        with (self.folder / f"{os.getpid()}").open("a") as file:
            file.write(f"{request.key} ends {time.time()}\n")
        return Outcome(value, "", time.monotonic() - began)

    def rest(self, seconds: float) -> int:
        time.sleep(seconds)
        return os.getpid()

    def hang(self) -> None:
        """Never return, in one operation that does not let Python run."""
        ctypes.PyDLL(None).sleep(10_000)

    def hoard(self, group: str) -> Any:
        """Take memory until the kernel kills the process that has the most of its group."""
        if group:
            Path(group, "cgroup.procs").write_text(str(os.getpid()))
        else:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hoard = []
        while True:
            hoard.append(os.urandom(2**20) * 64)
