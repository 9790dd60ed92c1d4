"""The Ray runtime: started on this machine, or that of a cluster which is joined."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.exceptions import RayError

from search.errors import WorkersLostError
from search.interruption import there
from strategies import StrategyError
from strategies.words import one_line

OBJECT_STORE = 256 * 2**20
SOCKET = 103  # Bytes of a socket's path, at most, on any Unix.
IN_IT = 70  # Of these, what Ray adds to its folder's path.
SHORT = ("/tmp", "/var/tmp", "/dev/shm")
CONNECT_TIMEOUT_SECONDS = 10.0  # Seconds to wait for a cluster to take a connection.


@contextmanager
def running() -> Iterator[None]:
    """Within it a runtime that is gone is one line."""
    try:
        yield
    except (RayError, ConnectionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WorkersLostError(
            f"the Ray runtime is gone ({reason}); nothing finished is lost"
        ) from None


@contextmanager
def _own_signals() -> Iterator[None]:
    """Give back the signals that Ray takes, below Python too, where it dumps its own frames."""
    former = {number: signal.getsignal(number) for number in there()}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in former.items():
                if handler is not None:
                    signal.signal(number, handler)


def connect(address: str, cpus: int) -> str | None:
    """Connect to a cluster or start Ray here; returns the folder that was made for it, if any."""
    with _own_signals():
        if address:
            _join(address)
            return None
        return _start(cpus)


QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


def _start(cpus: int) -> str | None:
    scratch = _short_folder()
    try:
        ray.init(
            address="local",
            # More workers than cores still run, only slower.
            num_cpus=max(cpus, os.cpu_count() or 1),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            # Ray gives its workers a low priority, and latency is measured in them.
            _system_config={"worker_niceness": 0},
            **({} if scratch is None else {"_temp_dir": scratch}),
            **QUIET,
        )
    except BaseException as error:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        if isinstance(error, OSError | RuntimeError | ValueError):
            raise StrategyError(
                f"Ray cannot be started here ({one_line(error)}); set RAY_TMPDIR to a folder of a "
                "short path with room in it, or give --workers 0, which runs in this process"
            ) from None
        raise
    return scratch


def _short_folder() -> str | None:
    """A new folder for Ray's sockets where the path of its own one is too long for them, as that
    of a job's TMPDIR may be; None leaves Ray its own.
    """
    own = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if os.name == "nt" or len(os.fsencode(own)) + IN_IT <= SOCKET:
        return None
    for place in SHORT:
        with suppress(OSError):
            return tempfile.mkdtemp(prefix="ray-", dir=place)
    raise StrategyError(
        f"Ray's sockets need a folder whose path is at most {SOCKET - IN_IT} characters long, and "
        f"{own} is longer; set RAY_TMPDIR to such a folder, or give --workers 0, which runs in "
        "this process"
    )


def _join(address: str) -> None:
    try:
        if address != "auto":
            # Ray itself tries for minutes if nothing answers there.
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_SECONDS).close()
        ray.init(address=address, **QUIET)
    except (OSError, RuntimeError, ValueError) as error:
        raise StrategyError(
            f"no Ray cluster can be reached at {address} ({str(error).splitlines()[0]}); start one "
            "with ray start --head and give auto or its host:port, or leave --address out"
        ) from None


def nodes() -> list[dict[str, Any]]:
    """Nodes that are alive."""
    with running():
        return [node for node in ray.nodes() if node["Alive"]]
