"""Storage of a study: the journal in its run's folder, or any database that Optuna opens.

A database is named by its URL. Passwords are never written into a run's folder.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from search.study.journal import CheckedJournal, open_journal
from strategies import StrategyError
from strategies.data_files import whole

JOURNAL = "study.journal"
PASSWORD = "STRATAGEM_STORAGE_PASSWORD"  # Name of the environment variable.
ASKED = {
    "postgresql": "SELECT pg_try_advisory_lock(:key)",
    "mysql": "SELECT GET_LOCK(:key, 2)",
    "mariadb": "SELECT GET_LOCK(:key, 2)",
}
SECRETS = ("password", "sslpassword")
REMINDER = (
    "the storage's password is not kept in config.yaml; to continue or to read the run, give "
    f"--storage URL again or set {PASSWORD}"
)
EXAMPLES = "sqlite:////data/studies.db or postgresql://me@host/studies"
Place = Path | str  # Of a journal, or the URL of a database.
FAULTS = (SQLAlchemyError, StorageInternalError, OSError)


def parse_url(url: str) -> URL:
    """Read a URL; a relative path of SQLite becomes absolute, since a run may be resumed elsewhere.

    Raises:
        StrategyError: the text is no URL, or names no database.
    """
    try:
        found = sqlalchemy.make_url(url)
    except ArgumentError:
        raise StrategyError(f"--storage is not a URL; give one such as {EXAMPLES}") from None
    if not found.database or found.database == ":memory:":
        raise StrategyError(
            f"--storage {public(found)} names no database; give a URL such as {EXAMPLES}"
        )
    if found.get_backend_name() == "sqlite":
        return found.set(database=str(Path(found.database).absolute()))
    return found


def public(url: URL) -> str:
    """The URL without passwords."""
    bare = url.difference_update_query(SECRETS)
    return URL.create(
        bare.drivername, bare.username, None, bare.host, bare.port, bare.database, bare.query
    ).render_as_string(hide_password=False)


def is_secret(url: URL) -> bool:
    """Whether it holds a password."""
    return url.password is not None or any(name in url.query for name in SECRETS)


def complete(stored: str, given: str | None) -> str:
    """URL with its password, to connect by.

    Args:
        stored: URL without passwords, as in `config.yaml`.
        given: URL that was given again; None takes the password from the environment, if it is
            there.

    Raises:
        StrategyError: `given` is another database.
    """
    url = parse_url(stored)
    if given is not None:
        if public(parse_url(given)) != stored:
            raise StrategyError(
                f"--storage is {public(parse_url(given))}, but the study of this run is in {stored}"
                "; give that, with its password where it has one, or leave --storage out"
            )
        url = parse_url(given)
    password = os.environ.get(PASSWORD)
    if url.password is None and password:
        url = url.set(password=password)
    return url.render_as_string(hide_password=False)


def open_storage(place: Place, read_only: bool) -> BaseStorage:
    """Storage of Optuna.

    Args:
        place: location of the study.
        read_only: whether to create nothing and change nothing.

    Raises:
        StrategyError: the storage is not there or cannot be opened.
    """
    if isinstance(place, Path):
        if read_only and not place.exists():
            raise StrategyError(f"{place}: no such study; give the folder of a run")
        return JournalStorage(CheckedJournal(str(place))) if read_only else open_journal(place)
    url = parse_url(place)
    missing = url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()
    if read_only and missing:
        raise StrategyError(f"{location_text(place)}: no such file")
    try:
        return RDBStorage(
            place, engine_kwargs={"pool_pre_ping": True}, skip_table_creation=read_only
        )
    except ImportError:
        raise _without_driver(place) from None
    except (*FAULTS, RuntimeError) as error:
        raise unusable_location(place, error) from None


def _without_driver(place: Place) -> StrategyError:
    return StrategyError(
        f"{location_text(place)}: its driver is not installed; for PostgreSQL: pip install "
        "'diffusion-stratagem[postgresql]'"
    )


def location_text(place: Place) -> str:
    """The place in an error."""
    return str(place) if isinstance(place, Path) else f"storage {public(parse_url(place))}"


def unusable_location(place: Place, error: BaseException) -> StrategyError:
    """One line that says why a study's place does not serve, and what to do."""
    if isinstance(place, Path):
        if isinstance(error, OSError):
            return whole.refused(place, error)
        return StrategyError(f"{location_text(place)}: cannot be written ({error})")
    cause = getattr(error, "orig", None) or error.__cause__ or error
    cause = getattr(cause, "orig", None) or cause
    reason = " ".join(str(cause).split()) or type(error).__name__
    hint = (
        "" if place.startswith("sqlite") else f"; a password is read from --storage or {PASSWORD}"
    )
    return StrategyError(f"{location_text(place)}: {reason}{hint}")


def study_notes(place: Place, name: str) -> dict[str, Any]:
    """Notes of a study, read without its evaluations; empty if there is no such study.

    Raises:
        StrategyError: the study is damaged or cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = open_storage(place, read_only=True)
        return dict(optuna.load_study(study_name=name, storage=storage).user_attrs)
    except KeyError:
        return {}
    except FAULTS as error:
        raise unusable_location(place, error) from None


def copy(place: Place, former: str, name: str) -> None:
    """Copy a study under another name.

    Raises:
        StrategyError: the place cannot be read or written.
    """
    try:
        kept = open_storage(place, read_only=False)
        optuna.copy_study(
            from_study_name=former, from_storage=kept, to_storage=kept, to_study_name=name
        )
    except FAULTS as error:
        raise unusable_location(place, error) from None


def check_numbers(place: Place, numbers: Iterable[int]) -> None:
    """Check that every evaluation is there once.

    Args:
        place: location of the study.
        numbers: numbers of the proposals that were evaluated.

    Raises:
        StrategyError: an evaluation is there twice.
    """
    twice = [number for number, count in Counter(numbers).items() if count > 1]
    if twice:
        raise StrategyError(
            f"{location_text(place)}: evaluation {twice[0]} is in it twice, so it was copied "
            "together or written to by two searches; put a whole copy back, or start a new run"
        )


@contextmanager
def ask_for_lock(url: str, study: str) -> Iterator[bool]:
    """Ask a database's server for a lock that lasts as long as the connection, however that ends.

    Yields:
        Whether it was given; also where the server has none to give.
    """
    kind = parse_url(url).get_backend_name()
    if kind not in ASKED:
        yield True
        return
    try:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    except ImportError:
        raise _without_driver(url) from None
    try:
        with engine.connect() as connection:
            asking = sqlalchemy.text(ASKED[kind])
            given = bool(connection.execute(asking, {"key": _key(kind, study)}).scalar())
            connection.commit()
            yield given
    except SQLAlchemyError as error:
        raise unusable_location(url, error) from None
    finally:
        engine.dispose()


def _key(kind: str, study: str) -> int | str:
    digest = hashlib.sha256(f"stratagem {study}".encode())
    if kind == "postgresql":
        return int.from_bytes(digest.digest()[:8], "big", signed=True)
    return digest.hexdigest()[:60]
