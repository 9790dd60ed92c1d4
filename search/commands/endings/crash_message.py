"""Last message of a search that is ended without one: killed, out of memory, by a library's exit.

Ray's runtime, for example, ends the process that uses it when it ends itself, and nothing in that
process can prevent it. A small separate process therefore waits for the search to end, and prints
how to continue if the search could not.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# It reads a byte from a search that ended with a word, and nothing from one that is gone.
CODE = """import sys
if not sys.stdin.buffer.read(1):
    print(sys.argv[1], file=sys.stderr, flush=True)
"""


@contextmanager
def farewell(line: str) -> Iterator[Callable[[], None]]:
    """Print a line on standard error if this process ends within the block.

    Yields:
        Function to call before the process ends within the block without that line.
    """
    try:
        watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", CODE, line],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the search.
        )
    except OSError:  # No room for one more process; the search does not need it.
        yield lambda: None
        return
    pipe = watcher.stdin
    assert pipe is not None

    def dismiss() -> None:
        with suppress(OSError, ValueError):  # It is gone, or was dismissed before.
            pipe.write(b".")
            pipe.close()

    try:
        yield dismiss
    finally:
        dismiss()
        watcher.wait()
