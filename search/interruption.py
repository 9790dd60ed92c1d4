"""End of a command from outside: Ctrl-C, SIGTERM of a scheduler, SIGHUP of a closed terminal.

The first signal becomes a `KeyboardInterrupt`, so that a search writes what it has. A second one
ends the process at once, with one line.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
CODE = 130  # Exit code of a program that was ended by a signal.


class _Uninterrupted(threading.local):
    """Whether the first signal may raise its interrupt now, in this thread."""

    depth = 0
    waiting = False

    def take(self) -> None:
        if self.depth:
            self.waiting = True
        else:
            raise KeyboardInterrupt


_uninterrupted = _Uninterrupted()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a short step end before the first signal raises its interrupt.

    Use it for steps that libraries leave half done when they are interrupted.
    """
    _uninterrupted.depth += 1
    try:
        yield
    finally:
        _uninterrupted.depth -= 1
        if _uninterrupted.waiting and not _uninterrupted.depth:
            _uninterrupted.waiting = False
            raise KeyboardInterrupt


class Ending:
    """Context in which the signals are handled; only the main thread can do that.

    Attributes:
        how: hint how to continue, printed when a second signal ends the process.
        asked: whether a signal has come.
        before: function that is called before a second signal ends the process.
    """

    def __init__(self) -> None:
        self.how = ""
        self.asked = False
        self.before: Callable[[], None] = lambda: None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self.watch()
        return self

    def watch(self) -> None:
        """Begin to handle the signals."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in there():
            former = signal.getsignal(number)
            if former is not signal.SIG_IGN:  # As `nohup` has it.
                self._former[number] = former
                signal.signal(number, self._take)

    def __exit__(self, *_: object) -> None:
        for number, former in self._former.items():
            outer = getattr(former, "__self__", None)
            if self.asked and isinstance(outer, Ending):
                outer.asked = True  # The program is on its way out, and has said its word.
            # None is a handler that was not set by Python, and cannot be set by it.
            signal.signal(number, signal.SIG_DFL if former is None else former)
        self._former.clear()

    def _take(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            self.asked = True
            _uninterrupted.take()
            return
        try:
            self.before()
            os.write(2, f"\ninterrupted{'; ' if self.how else ''}{self.how}\n".encode())
        finally:
            os._exit(CODE)


def there() -> list[signal.Signals]:
    """Signals of this system that end a program."""
    return [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
