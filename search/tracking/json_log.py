"""Events as JSON lines, in a file or on standard output."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from search.tracking.events import Event
from strategies.data_files.whole import check_writable, refused


class JsonLog:
    """One line for each event, written as soon as it happens, all of it or nothing.

    Args:
        target: a file, which is appended to, or `-` for standard output.

    Raises:
        StrategyError: the file cannot be written.
    """

    def __init__(self, target: str) -> None:
        self.path = None if target == "-" else Path(target)
        self._file: int | None = None
        if self.path is None:
            return
        try:
            if self.path.exists():
                self._open(self.path)
            else:
                check_writable(self.path)  # The file comes with its first line.
        except OSError as error:
            raise refused(f"--log-json {self.path}", error) from None

    def __call__(self, event: Event) -> None:
        line = json.dumps(event.to_json(), allow_nan=False) + "\n"
        if self.path is None:
            sys.stdout.write(line)
            sys.stdout.flush()
            return
        file = self._open(self.path) if self._file is None else self._file
        size = os.fstat(file).st_size
        # What a kill has left of a line before stays a line of its own.
        data = ("\n" if _is_torn(self.path) else "").encode() + line.encode()
        try:
            while data:
                data = data[os.write(file, data) :]
        except OSError:
            with suppress(OSError):
                os.truncate(file, size)
            raise

    def _open(self, path: Path) -> int:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        return self._file

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)


def _is_torn(path: Path) -> bool:
    """Whether a file's last line has no end."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events in a log, the earliest first; what is no event of ours is left out."""
    found = []
    with path.open("rb") as file:
        for line in file:
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and "event" in event:
                    found.append(event)
    return found
