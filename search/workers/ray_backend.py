"""Ray actors as workers, on this machine or on a cluster. The only file importing ray."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from search.errors import WorkersLostError
from search.interruption import there
from search.workers.backend import WorkerBackend, WorkerDiedError
from search.workers.executor import RequestHandler
from search.workers.messages import AnyRequest, AnyResponse
from strategies import StrategyError
from strategies.data_files.whole import UnwritableError
from strategies.words import one_line

OBJECT_STORE = 256 * 2**20
SOCKET = 103  # Bytes of a socket's path, at most, on any Unix.
IN_IT = 70  # Of these, what Ray adds to its folder's path.
SHORT = ("/tmp", "/var/tmp", "/dev/shm")
CONNECT_TIMEOUT_SECONDS = 10.0  # Seconds to wait for a cluster to take a connection.


class RayWorker:
    """Worker in a process of its own: it is placed first, and then loads its model.

    Args:
        make: makes the worker.
    """

    def __init__(self, make: Callable[[], RequestHandler]) -> None:
        self._make = make

    def place(self) -> str:
        """Id of its node."""
        return str(ray.get_runtime_context().get_node_id())

    def load(self) -> str:
        """Make the worker; returns the name of its device."""
        self._worker = self._make()
        return self._worker.device

    def answer(self, request: AnyRequest) -> AnyResponse:
        """Carry out a request."""
        return self._worker.answer(request)


class RayBackend(WorkerBackend):
    """Ray cluster as a backend.

    Args:
        make: makes a worker on a device; every actor gets it, through the object store.
        workers: number of workers.
        device: `cpu` or `cuda`; on a cluster it is `cuda` if any node has GPUs.
        gpus: GPUs of each actor on `cuda`; below 1 several share one.
        cpus: cores of each actor.
        address: address of a cluster, `auto` or `host:port`; empty starts Ray on this machine.

    Raises:
        StrategyError: there is no such cluster; or there is no room for a worker on the cluster,
            or for all workers on this machine.
    """

    def __init__(
        self,
        make: Callable[[str], RequestHandler],
        workers: int,
        device: str = "cpu",
        gpus: float = 1,
        cpus: int = 1,
        address: str = "",
    ) -> None:
        self._scratch = _connect(address, workers * cpus)
        if address:
            device = "cuda" if any(n["Resources"].get("GPU") for n in _nodes()) else "cpu"
        self._gpus, self._cpus = gpus if device == "cuda" else 0.0, cpus
        self._make = ray.put(partial(make, device))
        room = self.capacity()
        if room < (1 if address else workers):
            need = f"{cpus} CPUs" + (f" and {gpus:g} GPUs" if self._gpus else "")
            where = f"the cluster at {address}" if address else "this machine"
            raise StrategyError(
                f"{workers} workers of {need} each asked for, but {where} has room for {room}; "
                "lower --workers, --gpus-per-worker or --cpus-per-worker"
            )

    def capacity(self) -> int:
        return sum(_fits(node["Resources"], self._gpus, self._cpus) for node in _nodes())

    def start(self) -> Any:
        options: dict[str, Any] = {
            "num_cpus": self._cpus,
            "num_gpus": self._gpus,
            "max_restarts": 0,
            "runtime_env": {
                "env_vars": {"OMP_NUM_THREADS": str(self._cpus), "OMP_WAIT_POLICY": "PASSIVE"},
            },
        }
        with _runtime():
            return ray.remote(RayWorker).options(**options).remote(self._make)

    def call(self, handle: Any, method: str, *arguments: Any) -> Any:
        with _runtime():
            return getattr(handle, method).remote(*arguments)

    def wait(self, calls: Collection[Any], seconds: float) -> Any:
        with _runtime():
            done, _ = ray.wait(list(calls), num_returns=1, timeout=seconds)
        return done[0] if done else None

    def result(self, call: Any) -> Any:
        try:
            return ray.get(call)
        except RayTaskError as error:
            if isinstance(error.cause, UnwritableError):
                raise error.cause from None
            reason = str(error.cause).splitlines() or [type(error.cause).__name__]
            raise StrategyError(f"a worker cannot be used: {reason[0]}") from None
        except RayError:
            raise WorkerDiedError from None

    def kill(self, handle: Any) -> None:
        with suppress(RayError):  # Gone already, perhaps with the runtime.
            ray.kill(handle)

    def alive(self) -> set[str]:
        return {str(node["NodeID"]) for node in _nodes()}

    def close(self) -> None:
        ray.shutdown()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


@contextmanager
def _runtime() -> Iterator[None]:
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


def _connect(address: str, cpus: int) -> str | None:
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


def _nodes() -> list[dict[str, Any]]:
    with _runtime():
        return [node for node in ray.nodes() if node["Alive"]]


def _fits(there: dict[str, float], gpus: float, cpus: int) -> int:
    """Number of workers that a node has room for if nothing else runs on it.

    Args:
        there: resources of the node by name.
        gpus: GPUs of each worker.
        cpus: cores of each worker.
    """
    room = int(there.get("CPU", 0) // cpus)
    if gpus >= 1:
        room = min(room, int(there.get("GPU", 0) // gpus))
    elif gpus:
        room = min(room, int(there.get("GPU", 0)) * int(1 / gpus))
    return room
