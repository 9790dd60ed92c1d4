"""Ctrl-C in a command line: one line and exit code 130, also while its packages are imported."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

CODE = 130


def stopped(line: str = "interrupted") -> int:
    """Say that Ctrl-C ended a command; returns the exit code. A second Ctrl-C says no more."""
    with suppress(ValueError):  # Only the main thread may set it, and only there Ctrl-C arrives.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(line, file=sys.stderr)
    return CODE


def guarded(module: str) -> int:
    """Import a command line and run its `main`; returns the exit code."""
    try:
        main: Callable[[], int] = importlib.import_module(module).main
        return main()
    except KeyboardInterrupt:
        return stopped()
