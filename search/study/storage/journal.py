"""Journal file of a study, and its repair after a crash."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalOperation

from search.interruption import uninterrupted
from strategies import StrategyError

BLOCK = 2**20  # Bytes read at a time when looking for the last whole line.
NUMBER = "entry"  # What an entry's own number is under.
OPERATIONS = {*JournalOperation}
MOMENT = 1.0  # Seconds that a living process may hold the journal's lock.


class CheckedJournal(JournalFileBackend):
    """Journal that checks its entries while it reads them.

    Every line has to be an entry. By their own numbers, all entries that were written have to be
    there once. Entries of earlier versions and of other programs, such as a dashboard, have no
    numbers.
    """

    _numbered = 0  # Entries with a number that were read.

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        if log_number_from == 0:
            self._numbered = 0
        line = log_number_from
        try:
            for entry in super().read_logs(log_number_from):
                line += 1
                reason = _wrong(entry, self._numbered)
                if reason:
                    raise self._damaged(line, reason)
                self._numbered += NUMBER in entry
                yield entry
        except StrategyError:
            raise
        except ValueError:  # Of the decoder, once a further line follows.
            raise self._damaged(line + 1, "is not JSON") from None

    def _damaged(self, line: int, reason: str) -> StrategyError:
        return StrategyError(
            f"{self._file_path}: not a readable study log: line {line} {reason}; put a whole copy "
            "back, or start a new run"
        )


class AtomicJournal(CheckedJournal):
    """Journal that appends an entry completely or, on an error, not at all."""

    _appended = 0  # The number after that of the last entry appended, which may not be read yet.

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        first = max(self._numbered, self._appended)
        logs = [{NUMBER: number, **log} for number, log in enumerate(logs, first)]
        with uninterrupted():  # Optuna unlinks its lock twice where it is interrupted.
            self._append(logs)
            self._appended = first + len(logs)

    def _append(self, logs: list[dict[str, Any]]) -> None:
        size = Path(self._file_path).stat().st_size
        try:
            super().append_logs(logs)
        except OSError:
            self._cut(size)
            raise
        except RuntimeError as error:  # Optuna's word for a lock that could not be let go of.
            self._cut(size)
            causes = _contexts(error)
            failed = next((cause for cause in causes if isinstance(cause, OSError)), None)
            if failed is None:
                raise
            raise OSError(failed.errno, failed.strerror, self._file_path) from None

    def _cut(self, size: int) -> None:
        """Remove the part of an entry that was written before an error, such as a full disk.

        If that fails as well, the next process that opens the journal removes it.
        """
        with suppress(OSError):
            os.truncate(self._file_path, size)


def _contexts(error: BaseException) -> Iterator[BaseException]:
    """Errors that an error was raised from, the most recent first."""
    while error.__context__ is not None:
        error = error.__context__
        yield error


def _wrong(entry: Any, expected: int) -> str:
    """Reason why a line is not the next entry, or an empty text.

    Args:
        entry: content of the line.
        expected: number of the next numbered entry.
    """
    if not isinstance(entry, dict) or "worker_id" not in entry:
        return "is no entry of a study"
    if entry.get("op_code") not in OPERATIONS:
        return f"is no entry of a study (op_code {entry.get('op_code')})"
    own = entry.get(NUMBER, expected)
    if own == expected:
        return ""
    if isinstance(own, int) and own > expected:
        return f"is entry {own}, and {expected} should follow: {own - expected} are missing"
    return f"is entry {own}, which is there twice"


def open_journal(path: Path) -> JournalStorage:
    """Storage in a journal file, after its repair; the caller has to be the only writer.

    Raises:
        OSError: the file cannot be written.
    """
    drop_torn_tail(path)
    _drop_stale_lock(path)
    return JournalStorage(AtomicJournal(str(path)))


def _drop_stale_lock(path: Path) -> None:
    """Remove the lock of a killed process; Optuna would wait half a minute for it."""
    lock = path.with_name(f"{path.name}.lock")
    until = time.monotonic() + MOMENT
    while lock.is_symlink() and time.monotonic() < until:
        time.sleep(MOMENT / 20)
    lock.unlink(missing_ok=True)


def drop_torn_tail(path: Path) -> int:
    """Cut an incomplete entry from the end of a journal, as a kill or a crash leaves it.

    It is a last line without its end, or last lines that are no entries, as a file system may
    leave them after a power loss. Damage before a complete entry is left as it is.

    Returns:
        Number of bytes that were cut.
    """
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        whole = _end_of_last_entry(file, size)
        if whole < size:
            file.truncate(whole)
    return size - whole


def _end_of_last_entry(file: BinaryIO, size: int) -> int:
    start, tail = size, b""
    while start:
        step = min(BLOCK, start)
        start -= step
        file.seek(start)
        tail = file.read(step) + tail
        # What comes before the first line's end may have begun in an earlier block.
        first = 0 if not start else tail.find(b"\n") + 1
        end = tail.rfind(b"\n") + 1
        while end > first:
            begin = tail.rfind(b"\n", 0, end - 1) + 1
            if _is_entry(tail[begin:end]):
                return start + end
            end = begin
    return tail.rfind(b"\n") + 1  # No entry at all: this is no journal, or its first line is torn.


def _is_entry(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
