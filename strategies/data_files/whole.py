"""Atomic files: written under another name in the same folder, then renamed.

Everything that this project writes goes through `write`. A kill, a full disk or a second process
leaves the old file or the new one, never a part.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from strategies.errors import StrategyError

SUFFIX = ".part"
FULL = (errno.ENOSPC, errno.EDQUOT)
# The file system's own errors: nothing that a model or a strategy does raises them.
FAULTS = (*FULL, errno.EROFS, errno.EIO, errno.ESTALE)
REMEDIES = {
    errno.EROFS: "; its file system is read-only: give another place",
    errno.EACCES: "; give another place, or get permission to write there",
    errno.EPERM: "; give another place, or get permission to write there",
    errno.EIO: "; see to the disk",
} | dict.fromkeys(FULL, "; make room on that disk")


class UnwritableError(StrategyError):
    """Error of a file that cannot be written; says why and what to do."""


def refused(path: str | os.PathLike[str], error: OSError) -> UnwritableError:
    """Error line for a file or folder that cannot be written."""
    reason = error.strerror or str(error) or type(error).__name__
    return UnwritableError(
        f"{os.fspath(path)}: cannot be written ({reason}){REMEDIES.get(error.errno or 0, '')}"
    )


@contextmanager
def refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of the file system inside the block into an `UnwritableError` about `path`."""
    try:
        yield
    except OSError as error:
        raise refused(path, error) from None


def temporary_path(path: Path) -> Path:
    """Temporary name of a file until it is complete; every process has its own."""
    return path.with_name(f"{path.name}.{os.getpid()}{SUFFIX}")


def write(content: str | bytes, path: str | os.PathLike[str]) -> None:
    """Write a file; an existing one is replaced only once the new one is complete and on disk.

    Raises:
        UnwritableError: the file cannot be written; nothing of it is left.
    """
    target = Path(path)
    part = temporary_path(target)
    data = content.encode("utf-8") if isinstance(content, str) else content
    with refusing(target):
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        UnwritableError: it cannot be made.
    """
    with refusing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def check_writable(path: Path) -> None:
    """Check that a file could be written later; an existing one stays as it is.

    Raises:
        UnwritableError: it could not.
    """
    part = temporary_path(path)
    with refusing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        part.touch()
        part.unlink()


def leftovers(folder: Path) -> list[Path]:
    """Incomplete files of killed processes in a folder."""
    found = sorted(folder.glob(f"*{SUFFIX}*"))
    return [path for path in found if not _is_alive(path.name)]


def _is_alive(name: str) -> bool:
    """Whether the process that an incomplete file is named after is another one that still runs."""
    number = name.rpartition(SUFFIX)[0].rpartition(".")[2]
    if not number.isdigit() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
