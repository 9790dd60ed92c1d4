"""Opening of a study's storage, and the errors of a storage that does not serve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage

from search.study.storage.journal import CheckedJournal, open_journal
from search.study.storage.location import Location
from strategies import StrategyError
from strategies.data_files import whole


def faults(location: Location) -> tuple[type[Exception], ...]:
    """Errors of Optuna and of the system when the storage cannot be read or written."""
    if isinstance(location, Path):
        return (StorageInternalError, OSError)
    from search.study.storage.database import FAULTS

    return FAULTS


def open_storage(location: Location, read_only: bool) -> BaseStorage:
    """Storage of Optuna.

    Args:
        location: path of the journal, or URL of a database.
        read_only: whether to create nothing and change nothing.

    Raises:
        StrategyError: the storage is not there or cannot be opened.
    """
    if isinstance(location, Path):
        if read_only and not location.exists():
            raise StrategyError(f"{location}: no such study; give the folder of a run")
        return (
            JournalStorage(CheckedJournal(str(location))) if read_only else open_journal(location)
        )
    from search.study.storage.database import open_database

    return open_database(location, read_only)


def location_text(location: Location) -> str:
    """The location in an error."""
    if isinstance(location, Path):
        return str(location)
    from search.study.storage.database import database_text

    return database_text(location)


def unusable_location(location: Location, error: BaseException) -> StrategyError:
    """One line that says why a study's location does not serve, and what to do."""
    if isinstance(location, Path):
        if isinstance(error, OSError):
            return whole.refused(location, error)
        return StrategyError(f"{location}: cannot be written ({error})")
    from search.study.storage.database import unusable_database

    return unusable_database(location, error)


def study_notes(location: Location, name: str) -> dict[str, Any]:
    """Notes of a study, read without its evaluations; empty if there is no such study.

    Raises:
        StrategyError: the study is damaged or cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = open_storage(location, read_only=True)
        return dict(optuna.load_study(study_name=name, storage=storage).user_attrs)
    except KeyError:
        return {}
    except faults(location) as error:
        raise unusable_location(location, error) from None


def copy(location: Location, former: str, name: str) -> None:
    """Copy a study under another name.

    Raises:
        StrategyError: the storage cannot be read or written.
    """
    try:
        kept = open_storage(location, read_only=False)
        optuna.copy_study(
            from_study_name=former, from_storage=kept, to_storage=kept, to_study_name=name
        )
    except faults(location) as error:
        raise unusable_location(location, error) from None


def check_numbers(location: Location, numbers: Iterable[int]) -> None:
    """Check that every evaluation is there once.

    Args:
        location: location of the study.
        numbers: numbers of the proposals that were evaluated.

    Raises:
        StrategyError: an evaluation is there twice.
    """
    twice = [number for number, count in Counter(numbers).items() if count > 1]
    if twice:
        raise StrategyError(
            f"{location_text(location)}: evaluation {twice[0]} is in it twice, so it was copied "
            "together or written to by two searches; put a whole copy back, or start a new run"
        )
