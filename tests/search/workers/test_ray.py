"""A real Ray: killed workers and nodes, hangs, memory exhausted for real, nodes that come later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.study.study import Study
from search.workers.pool import WorkerPool
from strategies import StrategyError
from tests.support.paths import ROOT
from tests.support.runs.ray_workers import Hang, Hoard, Plain, Rest

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield made
    made.shutdown()


def pool(folder: Path, workers: int, address: str = "", **arguments: Any) -> WorkerPool:
    from search.workers.ray_backend import RayBackend

    kinds = arguments.pop("kinds", False)
    hands = RayBackend(
        lambda device, group: Plain(folder, kinds), workers, address=address, **arguments
    )
    return WorkerPool(hands, workers)


def rests(count: int, seconds: float = 0.5) -> list[Rest]:
    return [Rest(key=str(n), seconds=seconds, time_limit=60.0) for n in range(count)]


def until_all_are_there(workers: WorkerPool, wanted: int) -> Iterator[Rest]:
    for request in rests(2000):
        if workers.slots == wanted and int(request.key) > 20:
            return
        yield request


def times(folder: Path) -> dict[str, list[tuple[str, float]]]:
    """What each process began and ended, by request."""
    found: dict[str, list[tuple[str, float]]] = {}
    for path in folder.iterdir():
        for line in path.read_text().splitlines():
            key, what, when = line.split()
            found.setdefault(key, []).append((what, float(when)))
    return found


def test_workers_that_are_killed_hang_or_exhaust_memory(tmp_path: Path) -> None:
    group = Path("/sys/fs/cgroup/memory/stratagem-test")
    try:
        group.mkdir(exist_ok=True)
        (group / "memory.limit_in_bytes").write_text(str(2**30))
        memory = [Hoard(key="memory", group=str(group), time_limit=300.0)]
    except OSError:
        memory = []  # No control groups here that this user may make.
    workers = pool(tmp_path, 2)
    try:
        assert workers.open() == "one kind"
        killed = False
        answers = {}
        asked: list[Any] = [*rests(8), Hang(key="hang", time_limit=3.0), *memory]
        for request, outcome in workers.run_all(asked):
            answers[request.key] = outcome
            if not killed:
                busy = [path for path in tmp_path.iterdir() if "ends" not in path.read_text()]
                os.kill(int((busy or list(tmp_path.iterdir()))[0].name), signal.SIGKILL)
                killed = True
        assert set(answers) == {request.key for request in asked}
        assert answers["hang"].error == "took longer than its limit of 3 s"
        if memory:
            assert answers["memory"].error == "killed its worker 2 times"
        assert not any(answers[str(n)].error for n in range(8))
        # Alone means alone, whoever is ready; both workers may be starting anew by now.
        workers.submit(Rest(key="beside", seconds=2.0))
        assert workers.run_exclusive(Rest(key="timing", seconds=1.0)).error == ""
        found = times(tmp_path)
        assert found["beside"][-1][1] <= found["timing"][0][1]
    finally:
        workers.close()
        if group.exists():
            group.rmdir()


def test_a_node_that_is_killed_and_one_that_comes_later(cluster: Any, tmp_path: Path) -> None:
    second = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    workers = pool(tmp_path, 6, address=cluster.address)
    try:
        workers.open()
        assert workers.slots == 4
        answers = {}
        for step, (request, outcome) in enumerate(workers.run_all(until_all_are_there(workers, 6))):
            answers[request.key] = outcome
            if step == 6:
                cluster.remove_node(second, allow_graceful=False)
            if step == 12:
                cluster.add_node(num_cpus=4)
        assert workers.slots == 6
        assert not any(outcome.error for outcome in answers.values())
        begun = sum(what == "begins" for rows in times(tmp_path).values() for what, _ in rows)
        assert begun <= len(answers) + 2  # What was under way on the lost node was begun twice.
    finally:
        workers.close()


def test_devices_of_two_kinds_and_wrong_addresses_are_refused(tmp_path: Path) -> None:
    workers = pool(tmp_path, 2, kinds=True)
    try:
        with pytest.raises(StrategyError, match=r"devices differ: kind \d+ and kind \d+"):
            workers.open()
    finally:
        workers.close()
    with pytest.raises(StrategyError, match=r"no Ray cluster can be reached at 127\.0\.0\.1:1 "):
        pool(tmp_path, 2, address="127.0.0.1:1")
    with pytest.raises(StrategyError, match="room for 0; lower --workers"):
        pool(tmp_path, 2, device="cuda", gpus=0.5)


def raylet(parent: int) -> int:
    """The process of Ray that runs on every node, of a search with a Ray of its own."""
    listed = subprocess.run(["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()[1:]]
    (found,) = [
        int(pid) for pid, above, args in rows if int(above) == parent and "/raylet/raylet" in args
    ]
    return found


@pytest.mark.parametrize("what", ["signal", "raylet"])
def test_a_search_that_is_ended_says_how_to_go_on(what: str, tmp_path: Path) -> None:
    folder, shown = tmp_path / "run", tmp_path / "shown"
    few = ["--base-steps", "4", "--steps", "3,4", "--schedulers", "DDIM", "--initial", "none"]
    size = ["--images", "4", "--heldout-images", "4", "--rungs", "4", "--budget", "60evals"]
    command = [sys.executable, "-m", "search", "--out", str(folder), "--workers", "2", *few, *size]
    with shown.open("w") as file:
        search = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    journal = folder / "study.journal"
    while search.poll() is None:
        if journal.exists() and '"number"' in journal.read_text():
            break
        time.sleep(0.1)
    assert search.poll() is None, shown.read_text()
    if what == "signal":
        os.kill(search.pid, signal.SIGTERM)
    else:
        os.kill(raylet(search.pid), signal.SIGKILL)
    assert search.wait() == (130 if what == "signal" else 1)
    until = time.monotonic() + 30
    while "--resume" not in shown.read_text() and time.monotonic() < until:
        time.sleep(0.1)  # The word may come from a process that outlives the search.
    text = shown.read_text()
    assert f"continue with: python -m search --resume {folder}" in text
    assert "Traceback" not in text
    assert Study(journal, read_only=True).evaluations
