"""Studies in databases: URLs, passwords and locks.

A database is named by its URL. Passwords are never written into a run's folder. Import this module
in the function that needs it: SQLAlchemy takes long to import, and most runs have a journal.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from search.study.storage.location import PASSWORD
from strategies import StrategyError

EXAMPLES = "sqlite:////data/studies.db or postgresql://me@host/studies"
ASKED = {
    "postgresql": "SELECT pg_try_advisory_lock(:key)",
    "mysql": "SELECT GET_LOCK(:key, 2)",
    "mariadb": "SELECT GET_LOCK(:key, 2)",
}
SECRETS = ("password", "sslpassword")
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


def open_database(location: str, read_only: bool) -> RDBStorage:
    """Storage of Optuna in a database.

    Args:
        location: URL with its password.
        read_only: whether to create nothing.

    Raises:
        StrategyError: the database is not there or cannot be opened.
    """
    url = parse_url(location)
    missing = url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()
    if read_only and missing:
        raise StrategyError(f"{database_text(location)}: no such file")
    try:
        return RDBStorage(
            location, engine_kwargs={"pool_pre_ping": True}, skip_table_creation=read_only
        )
    except ImportError:
        raise _without_driver(location) from None
    except (*FAULTS, RuntimeError) as error:
        raise unusable_database(location, error) from None


def _without_driver(location: str) -> StrategyError:
    return StrategyError(
        f"{database_text(location)}: its driver is not installed; for PostgreSQL: pip install "
        "'diffusion-stratagem[postgresql]'"
    )


def database_text(location: str) -> str:
    """The database in an error."""
    return f"storage {public(parse_url(location))}"


def unusable_database(location: str, error: BaseException) -> StrategyError:
    """One line that says why a database does not serve, and what to do."""
    cause = getattr(error, "orig", None) or error.__cause__ or error
    cause = getattr(cause, "orig", None) or cause
    reason = " ".join(str(cause).split()) or type(error).__name__
    local = location.startswith("sqlite")
    hint = "" if local else f"; a password is read from --storage or {PASSWORD}"
    return StrategyError(f"{database_text(location)}: {reason}{hint}")


@contextmanager
def ask_for_lock(location: str, study: str) -> Iterator[bool]:
    """Ask a database's server for a lock that lasts as long as the connection, however that ends.

    Yields:
        Whether it was given; also where the server has none to give.
    """
    kind = parse_url(location).get_backend_name()
    if kind not in ASKED:
        yield True
        return
    try:
        engine = sqlalchemy.create_engine(location, poolclass=sqlalchemy.NullPool)
    except ImportError:
        raise _without_driver(location) from None
    try:
        with engine.connect() as connection:
            asking = sqlalchemy.text(ASKED[kind])
            given = bool(connection.execute(asking, {"key": _key(kind, study)}).scalar())
            connection.commit()
            yield given
    except SQLAlchemyError as error:
        raise unusable_database(location, error) from None
    finally:
        engine.dispose()


def _key(kind: str, study: str) -> int | str:
    digest = hashlib.sha256(f"stratagem {study}".encode())
    if kind == "postgresql":
        return int.from_bytes(digest.digest()[:8], "big", signed=True)
    return digest.hexdigest()[:60]
