"""Faults at a chosen write: all that a process does to files below a folder, counted and hit.

`Writes.start` counts, from then on and until this process ends, every operation that makes, opens
for writing, renames or removes something below a folder, and calls a fault before the chosen one.
It is for forked children: what Python's audit hooks hear cannot be switched off again.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from search.results import folder_swap as exchange

OPENED = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PATHS = {
    "os.rename": 2,
    "os.remove": 1,
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.truncate": 1,
    "os.symlink": 2,
    "os.link": 2,
}


class Writes:
    """The writes below a folder.

    Args:
        folder: whose files count.
        point: of the first write that meets the fault; the first of all is 1.
        fault: what happens before a write; it may raise.
        onward: whether all later writes meet it too.
    """

    def __init__(
        self, folder: Path, point: int, fault: Callable[[str], None], onward: bool = False
    ) -> None:
        self.folder, self.point, self.fault, self.onward = str(folder), point, fault, onward
        self.count = 0

    def start(self) -> None:
        """Hear every write of this process from here on."""
        sys.addaudithook(self._hear)
        swap = exchange._swap

        def swapping(new: Path, old: Path) -> None:
            self._met(str(old))  # A call of the system that Python does not tell of.
            swap(new, old)

        exchange._swap = swapping

    def _hear(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = given
            if isinstance(flags, int) and flags & OPENED:
                self._look(path)
        elif event in PATHS:
            for path in given[: PATHS[event]]:
                if self._look(path):
                    return

    def _look(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        name = os.fsdecode(path)
        ours = name.startswith(self.folder)
        if ours:
            self._met(name)
        return ours

    def _met(self, name: str) -> None:
        self.count += 1
        if self.count == self.point or (self.onward and self.count > self.point):
            self.fault(name)


def killed(name: str) -> NoReturn:
    """Be killed as by the system."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def failing(number: int) -> Callable[[str], None]:
    """Have a write fail with an error of the file system."""

    def fail(name: str) -> None:
        raise OSError(number, os.strerror(number), name)

    return fail


def in_a_child(work: Callable[[], int], shown: Path) -> int:
    """Do some work in a forked process; returns its wait status.

    Args:
        work: returns the exit code.
        shown: where the process writes its standard output and error.
    """
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 99
    try:
        file = os.open(shown, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout = open(1, "w", closefd=False, buffering=1)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
        code = work()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)
