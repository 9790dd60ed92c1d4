"""Ctrl-C in a command line: one line and exit code 130, also while its packages are imported.

The same for a package that is missing because an extra was not installed, with exit code 2.
"""

from __future__ import annotations

import gc
import importlib
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from strategies.commands import extras

CODE = 130


def stopped(line: str = "interrupted") -> int:
    """Print that Ctrl-C ended a command; returns the exit code."""
    print(line, file=sys.stderr)
    return CODE


def run_interruptible(main: Callable[[], int | None]) -> int:
    """Run all of a process; Ctrl-C ends it in one line. Returns the exit code."""
    try:
        return main() or 0
    except KeyboardInterrupt:
        return stopped()


def guarded(module: str) -> int:
    """Import a command line and run its `main`, as the last thing of a process.

    After Ctrl-C further ones are ignored, so that they print nothing more. A `main` that another
    program calls leaves that program's signals alone.

    Remaining objects are frozen. Python would otherwise search all of them for cycles when it
    exits, which takes seconds once torch and diffusers are imported.

    Returns:
        The exit code.
    """
    try:
        extras.require_for(module, sys.argv[1:])
        main: Callable[[], int] = importlib.import_module(module).main
        code = main()
    except KeyboardInterrupt:
        code = stopped()
    except extras.MissingExtraError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    finally:
        gc.freeze()
    if code == CODE:
        with suppress(ValueError):  # Only the main thread may set it, and only there it arrives.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code
