"""Events as JSON lines, in a file or on standard output."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from search.events import Event
from strategies import StrategyError


class JsonLog:
    """One line for each event, written as soon as it happens.

    Args:
        target: a file, which is appended to, or `-` for standard output.

    Raises:
        StrategyError: the file cannot be written.
    """

    def __init__(self, target: str) -> None:
        self._stack = ExitStack()
        self._file: TextIO = sys.stdout
        if target == "-":
            return
        path = Path(target)
        try:
            torn = _is_torn(path)
            self._file = self._stack.enter_context(path.open("a", encoding="utf-8"))
        except OSError as error:
            raise StrategyError(
                f"--log-json {path}: cannot be written ({error.strerror})"
            ) from None
        if torn:
            self._file.write("\n")

    def __call__(self, event: Event) -> None:
        self._file.write(json.dumps(event.to_json(), allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._stack.close()


def _is_torn(path: Path) -> bool:
    """Whether a kill has left a line without its end."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"
