"""Locks of a run's folder and of a study in a database: one search at a time.

However a search ends, its locks are released.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.study.storage.location import Location
from search.study.storage.opening import location_text
from strategies import StrategyError
from strategies.data_files.whole import refused

try:
    import fcntl
except ImportError:  # Not on Windows.
    fcntl = None  # type: ignore[assignment]

NAME = "search.lock"
RUNNING = "{folder}: a search is running in it; look at it with: python -m search status {folder}"
PATIENCE = 2.0  # Seconds; a look at the lock holds it for a moment.


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder.

    Raises:
        StrategyError: another search holds it, or the folder cannot be written.
    """
    try:
        lock = _acquired(folder / NAME, StrategyError(RUNNING.format(folder=folder)))
    except OSError as error:
        raise refused(folder, error) from None
    try:
        yield
    finally:
        lock.release()


def check_free(folder: Path) -> None:
    """Check that no search is running in a folder.

    Raises:
        StrategyError: a search is running in it.
    """
    if is_held(folder):
        raise StrategyError(RUNNING.format(folder=folder))


@contextmanager
def studying(location: Location, study: str) -> Iterator[None]:
    """Hold the lock of a study in a database, wherever the folders of its runs are.

    Args:
        location: location of the study; a journal is locked with its folder.
        study: name of the study.

    Raises:
        StrategyError: another search holds the lock.
    """
    if isinstance(location, Path):
        yield
        return
    from search.study.storage.database import ask_for_lock, parse_url

    url = parse_url(location)
    if url.get_backend_name() == "sqlite":
        with _file(Path(f"{url.database}.{study}.lock"), location, study):
            yield
        return
    with ask_for_lock(location, study) as given:
        if not given:
            raise _busy(location, study)
        yield


@contextmanager
def _file(path: Path, location: Location, study: str) -> Iterator[None]:
    try:
        lock = _acquired(path, _busy(location, study))
    except OSError as error:
        raise StrategyError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        yield
    finally:
        lock.release()


def _acquired(path: Path, busy: StrategyError) -> Any:
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise busy from None
    return lock


def _busy(location: Location, study: str) -> StrategyError:
    return StrategyError(
        f"{location_text(location)}: a search is running in the study {study!r}, from another "
        "folder or machine; wait for its end"
    )


def is_held(folder: Path) -> bool:
    """Whether a search is running in the folder; it takes no right to write there.

    Raises:
        StrategyError: this user may not look.
    """
    path = folder / NAME
    try:
        return _is_locked(path)
    except (FileNotFoundError, NotADirectoryError):  # Nothing can be held there.
        return False
    except OSError as error:
        raise StrategyError(f"{path}: cannot be read ({error.strerror})") from None


def _is_locked(path: Path) -> bool:
    if fcntl is None:
        from filelock import FileLock, Timeout

        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            return True
    with path.open("rb") as file:
        try:
            # Shared, so that many may look at once; a search holds it alone.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
