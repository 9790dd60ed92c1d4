"""Share of the time that workers are busy, with simulated evaluations of 3x varying length.

    python -m benchmarks run utilisation                # 2, 8 and 64 workers in this process
    python -m benchmarks run utilisation --ray          # and 6 on a Ray test cluster of 3 nodes

The loop is the real one, its study in a journal, NSGA-II with the surrogate proposing; only drawing
and scoring are simulated. In this process the clock is virtual: it runs while the loop works and is
set forward where the loop would wait. On Ray the workers sleep and the clock is the real one. Both
run from the first request to the last answer, so the end, where workers have nothing more to do,
counts too.
Writes `benchmarks/results/utilisation.json`.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine.loop_overhead import ALL, FEW, latency, made_up, make_space
from benchmarks.entry import FOLDER, RESULTS
from search.budget import Budget
from search.proposers.generation_strategy import GenerationStrategy
from search.study.study import Study
from search.surrogate.surrogate import Surrogate
from search.workers.executor import Executor
from search.workers.messages import AnyRequest, AnyResponse, Response
from search.workers.pool import WorkerPool


def length(key: str, shortest: float) -> float:
    """Seconds of an evaluation, between the shortest and three times as long."""
    return shortest * (1 + 2 * float(np.random.default_rng([9, int(key)]).random()))


class Simulated(Executor):
    """So many workers on a virtual clock."""

    def __init__(self, slots: int, shortest: float) -> None:
        self.slots, self.shortest = slots, shortest
        self.busy = self.skipped = 0.0
        self.began = self.ended = 0.0
        self._running: list[tuple[float, str, AnyRequest]] = []

    def now(self) -> float:
        return time.perf_counter() + self.skipped

    def submit(self, request: AnyRequest) -> None:
        self.began = self.began or self.now()
        seconds = length(request.key, self.shortest)
        self.busy += seconds
        heapq.heappush(self._running, (self.now() + seconds, request.key, request))

    def next(self) -> tuple[AnyRequest, AnyResponse]:
        end, key, request = heapq.heappop(self._running)
        self.skipped += max(0.0, end - self.now())
        self.ended = self.now()
        return request, Response(None, "", length(key, self.shortest))

    def close(self) -> None:
        self._running.clear()


class Sleeper:
    """Stands for a worker on Ray."""

    device = "none"

    def __init__(self, shortest: float) -> None:
        self.shortest = shortest

    def answer(self, request: AnyRequest) -> AnyResponse:
        began = time.monotonic()
        time.sleep(length(request.key, self.shortest))
        return Response(None, "", time.monotonic() - began)


def run(executor: Executor, evaluations: int) -> float:
    """Carry out a search; returns the seconds it took by the real clock."""
    space = make_space()
    generation = GenerationStrategy(space, [], "nsga2", 24, 0, (FEW, ALL))
    surrogate = Surrogate(space, ("fd_base", "latency_s"), {"latency_s": latency}, 0)
    generation.set_measurements(latency, surrogate=surrogate, reference=lambda: (1.0, 1.0))
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder) / "study.journal")
        loop = made_up(study, generation, executor, Budget(evaluations=evaluations))
        began = time.monotonic()
        loop.run()
        assert len(study.evaluations) == evaluations
        return time.monotonic() - began


def in_process(workers: int, each: int, shortest: float) -> dict[str, Any]:
    executor = Simulated(workers, shortest)
    run(executor, workers * each)
    wall = executor.ended - executor.began
    return row("in this process, virtual clock", workers, each, shortest, executor.busy, wall)


def on_ray(each: int, shortest: float) -> dict[str, Any]:
    from ray.cluster_utils import Cluster

    from search.workers.ray_backend import RayBackend

    os.environ["PYTHONPATH"] = str(FOLDER.parent)
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    for _ in range(2):
        cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    hands = RayBackend(lambda device, group: Sleeper(shortest), 6, address=cluster.address)
    pool = WorkerPool(hands, 6)
    try:
        pool.open()
        assert pool.slots == 6
        wall = run(pool, 6 * each)
        busy = sum(length(str(number), shortest) for number in range(6 * each))
        return row("Ray, 3 nodes on one machine", 6, each, shortest, busy, wall)
    finally:
        pool.close()
        cluster.shutdown()


def row(
    where: str, workers: int, each: int, shortest: float, busy: float, wall: float
) -> dict[str, Any]:
    return {
        "where": where,
        "workers": workers,
        "evaluations": workers * each,
        "seconds_each": [shortest, 3 * shortest],
        "utilisation": round(busy / (workers * wall), 4),
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="2,8,64")
    parser.add_argument("--each", type=int, default=50, help="evaluations per worker")
    parser.add_argument("--shortest", type=float, default=2.0, help="seconds")
    parser.add_argument("--ray", action="store_true")
    flags = parser.parse_args()
    rows = []
    for workers in map(int, flags.workers.split(",")):
        rows.append(in_process(workers, flags.each, flags.shortest))
        print(json.dumps(rows[-1]), flush=True)
    if flags.ray:
        rows.append(on_ray(flags.each, flags.shortest))
        print(json.dumps(rows[-1]), flush=True)
    found = {"cpus": os.cpu_count(), "python": platform.python_version(), "rows": rows}
    target = RESULTS / "utilisation.json"
    target.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
