"""Ray actors as workers, on this machine or on a cluster.

A worker is one actor, or a group of actors in a placement group on one node, each with a device of
its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from search.workers import process_group, ray_runtime
from search.workers.backend import WorkerBackend
from search.workers.executor import RequestHandler
from search.workers.messages import AnyRequest, AnyResponse
from search.workers.process_group import Meeting, ProcessGroup
from search.workers.ray_calls import WorkerCall
from search.workers.ray_runtime import nodes, running
from strategies import StrategyError

Make = Callable[..., RequestHandler]


class RayWorker:
    """One process of a worker: it is placed first, and then loads its model.

    Args:
        make: makes the handler of requests, from the process's place in its group.
        rank: number of this process in its group; 0 leads.
        size: number of processes of the worker.
    """

    def __init__(self, make: Make, rank: int, size: int) -> None:
        self._make, self._group = make, ProcessGroup(rank, size)

    def place(self) -> str:
        """Id of its node."""
        return str(ray.get_runtime_context().get_node_id())

    def meet(self) -> Meeting | None:
        """Open the group as its leader; returns where others meet it, None for one alone."""
        size = self._group.size
        if size == 1:
            return None
        self._group, meeting = process_group.open_group(ray.util.get_node_ip_address(), size)
        return meeting

    def load(self, meeting: Meeting | None) -> str:
        """Make the handler of requests; returns the name of its device."""
        if meeting is not None and self._group.rank:
            self._group = process_group.enter_group(meeting, self._group.rank, self._group.size)
        self._worker = self._make(group=self._group)
        return self._worker.device

    def answer(self, request: AnyRequest) -> AnyResponse:
        """Carry out a request."""
        return self._worker.answer(request)


@dataclass(eq=False)
class RayHandle:
    """Handle of a worker.

    Attributes:
        actors: its processes, the leader first.
        place: placement group of a group; None where the worker is one process.
    """

    actors: list[Any]
    place: Any = None


class RayBackend(WorkerBackend):
    """Ray cluster as a backend.

    Args:
        make: makes a handler of requests from a device and, by the keyword `group`, from the
            process's place in its group; every actor gets it, through the object store.
        workers: number of workers.
        device: `cpu` or `cuda`; on a cluster it is `cuda` if any node has GPUs.
        gpus: GPUs of each worker on `cuda`; below 1 several share one.
        cpus: cores of each process.
        address: address of a cluster, `auto` or `host:port`; empty starts Ray on this machine.
        processes: number of processes of each worker, which are on one node.

    Raises:
        StrategyError: there is no such cluster; or there is no room for a worker on the cluster,
            or for all workers on this machine.
    """

    def __init__(
        self,
        make: Make,
        workers: int,
        device: str = "cpu",
        gpus: float = 1,
        cpus: int = 1,
        address: str = "",
        processes: int = 1,
    ) -> None:
        self._scratch = ray_runtime.connect(address, workers * cpus * processes)
        if address:
            device = "cuda" if any(n["Resources"].get("GPU") for n in nodes()) else "cpu"
        self._gpus, self._cpus = gpus if device == "cuda" else 0.0, cpus
        self._processes = processes
        self._check(workers, gpus, address)
        self._make = ray.put(partial(make, device))

    def _check(self, workers: int, gpus: float, address: str) -> None:
        if self._processes > 1 and self._gpus not in (0, self._processes):
            raise StrategyError(
                f"{self._processes} processes per worker need a GPU each, and {gpus:g} GPUs per "
                f"worker are asked for; give --gpus-per-worker {self._processes}"
            )
        room, cpus = self.capacity(), self._cpus * self._processes
        if room < (1 if address else workers):
            need = f"{cpus} CPUs" + (f" and {gpus:g} GPUs" if self._gpus else "")
            where = f"the cluster at {address}" if address else "this machine"
            raise StrategyError(
                f"{workers} workers of {need} each asked for, but {where} has room for {room}; "
                "lower --workers, --gpus-per-worker or --cpus-per-worker"
            )

    def capacity(self) -> int:
        cpus = self._cpus * self._processes
        return sum(_fits(node["Resources"], self._gpus, cpus) for node in nodes())

    def start(self) -> Any:
        count = self._processes
        needs = {"num_cpus": self._cpus, "num_gpus": self._gpus / count}
        options: dict[str, Any] = needs | {
            "max_restarts": 0,
            "runtime_env": {
                "env_vars": {"OMP_NUM_THREADS": str(self._cpus), "OMP_WAIT_POLICY": "PASSIVE"},
            },
        }
        with running():
            place = None
            if count > 1:
                bundle = {"CPU": self._cpus, "GPU": self._gpus / count}
                bundle = {name: amount for name, amount in bundle.items() if amount}
                place = placement_group([bundle] * count, strategy="STRICT_PACK")
            kind = ray.remote(RayWorker)
            actors = []
            for rank in range(count):
                where = (
                    {}
                    if place is None
                    else {"scheduling_strategy": PlacementGroupSchedulingStrategy(place, rank)}
                )
                actors.append(kind.options(**options, **where).remote(self._make, rank, count))
            return RayHandle(actors, place)

    def call(self, handle: Any, method: str, *arguments: Any) -> Any:
        with running():
            if method == "load":
                arguments = (handle.actors[0].meet.remote(),)
            return WorkerCall([getattr(one, method).remote(*arguments) for one in handle.actors])

    def wait(self, calls: Collection[Any], seconds: float) -> Any:
        end = self.now() + seconds
        owners = {answer: call for call in calls for answer in call.waiting}
        while True:
            ended = next((call for call in calls if call.has_ended(self.now())), None)
            if ended is not None:
                return ended
            left = max(0.0, end - self.now())
            with running():
                done, _ = ray.wait(list(owners), num_returns=1, timeout=left)
            if not done:
                return None
            owners.pop(done[0]).take(done[0], self.now())

    def result(self, call: Any) -> Any:
        return call.result()

    def kill(self, handle: Any) -> None:
        for actor in handle.actors:
            with suppress(RayError):  # Gone already, perhaps with the runtime.
                ray.kill(actor)
        if handle.place is not None:
            with suppress(RayError, ConnectionError):
                remove_placement_group(handle.place)

    def alive(self) -> set[str]:
        return {str(node["NodeID"]) for node in nodes()}

    def close(self) -> None:
        ray.shutdown()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


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
