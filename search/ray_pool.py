"""Ray actors as workers, one per GPU or CPU core. The only file importing ray.

An actor that dies costs the request it was on, which goes to another; a request that has killed
two actors is given up, so one poisonous strategy cannot stop a search.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from search.executor import Executor
from search.worker import Outcome, Request, Worker
from strategies import StrategyError

MAX_KILLS = 2
MAX_DEATHS = 6
OBJECT_STORE = 256 * 2**20


class RayPool(Executor):
    """So many actors.

    Args:
        model: a `ModelConfig` as plain data.
        workers: how many.
        device: `cpu`, or `cuda` for one GPU each.

    Raises:
        StrategyError: Ray has fewer CPUs or GPUs than workers.
    """

    def __init__(self, model: dict[str, Any], workers: int, device: str) -> None:
        self.slots = workers
        self._model, self._device = model, device
        ray.init(
            address="local",
            # More workers than cores still run, only slower.
            num_cpus=max(workers, os.cpu_count() or 1),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE,
            # Ray gives its workers a low priority, and latency is measured in them.
            _system_config={"worker_niceness": 0},
        )
        kind = "GPU" if device == "cuda" else "CPU"
        there = int(ray.cluster_resources().get(kind, 0))
        if there < workers:
            raise StrategyError(f"{workers} workers asked for, but Ray has {there} {kind}s")
        self._idle = [self._start() for _ in range(workers)]
        self._running: dict[Any, tuple[Any, Request, float]] = {}
        self._kills: Counter[str] = Counter()
        self._deaths_in_a_row = 0

    def _start(self) -> Any:
        options: dict[str, Any] = {
            "num_cpus": 1,
            "max_restarts": 0,
            "runtime_env": {
                "env_vars": {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
            },
        }
        if self._device == "cuda":
            options["num_gpus"] = 1
        return ray.remote(Worker).options(**options).remote(self._model, self._device, 1)

    def submit(self, request: Request) -> None:
        actor = self._idle.pop()
        self._running[actor.answer.remote(request)] = (actor, request, time.monotonic())

    def next(self) -> tuple[Request, Outcome]:
        while True:
            (done,), _ = ray.wait(list(self._running), num_returns=1)
            actor, request, began = self._running.pop(done)
            try:
                outcome: Outcome = ray.get(done)
            except RayTaskError:
                raise
            except RayError:
                self._replace(actor)
                self._deaths_in_a_row += 1
                if self._deaths_in_a_row >= MAX_DEATHS:
                    raise StrategyError(
                        f"{MAX_DEATHS} workers died one after the other; the device or its memory "
                        "is not fit for this model. Mend it and go on with --resume"
                    ) from None
                self._kills[request.key] += 1
                if self._kills[request.key] < MAX_KILLS:
                    self.submit(request)
                    continue
                seconds = time.monotonic() - began
                outcome = Outcome(None, f"killed its worker {MAX_KILLS} times", seconds)
            else:
                self._deaths_in_a_row = 0
                self._idle.append(actor)
            return request, outcome

    def _replace(self, actor: Any) -> None:
        ray.kill(actor)
        self._idle.append(self._start())

    def close(self) -> None:
        ray.shutdown()
