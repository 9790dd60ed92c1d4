"""Searches in a child process that gets signals."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from search.interruption import there
from search.workers.messages import (
    A,
    Request,
    Response,
)
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.write_faults import in_a_child

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


class Slow(FakeExecutor):
    """Takes its time for each answer, and says in a file that it has begun."""

    def __init__(self, begun: Path) -> None:
        super().__init__(slots=1)
        self.begun = begun

    def answer(self, request: Request[A]) -> Response[A]:
        time.sleep(0.05)
        if request.key == "1":  # One evaluation has finished.
            self.begun.touch()
        return super().answer(request)


def send(work: Callable[[], int], shown: Path, begun: Path, *signals: int) -> int:
    """Start some work in a child, send it signals once it has begun; returns its exit code."""
    child = os.fork()
    if not child:
        os._exit(os.waitstatus_to_exitcode(in_a_child(lambda: _as_usual(work), shown)))
    try:
        return _send(child, begun, signals)
    finally:
        begun.unlink(missing_ok=True)


def _as_usual(work: Callable[[], int]) -> int:
    """Work with the usual signals, as these tests may run where a shell has them ignored."""
    for number in there():
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, usual)
    return work()


def _send(child: int, begun: Path, signals: tuple[int, ...]) -> int:
    while not begun.exists():
        time.sleep(0.01)
    worker = int(subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(child)], capture_output=True, text=True, check=True
    ).stdout.split()[0])  # fmt: skip
    for number in signals:
        os.kill(worker, number)
        time.sleep(0.3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
