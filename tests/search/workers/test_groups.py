"""Workers of several processes: they agree, and live, fail and die together."""

from __future__ import annotations

import os
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from accel.pipelines import shared_tokens
from search import config as configuration
from search.commands import model_setup, parallel_checks
from search.workers import process_group
from search.workers.backend import WorkerDiedError
from search.workers.pool import WorkerPool
from search.workers.process_group import ProcessGroup
from strategies import StrategyError
from tests.support.composed_spaces import space_of
from tests.support.runs.group_workers import Agree, Die, Fail, Member

GROUP: dict[str, Any] = {"workers": 1, "parallel": "context", "processes_per_worker": 2}
LIMIT = 300.0  # Seconds of a request that hangs on a slow machine.


def pair() -> list[ProcessGroup]:
    leader, meeting = process_group.open_group("127.0.0.1", 2)
    return [leader, process_group.enter_group(meeting, 1, 2)]


def test_the_leader_decides_and_the_slowest_counts() -> None:
    found: dict[int, list[Any]] = {0: [], 1: []}

    def run(one: ProcessGroup) -> None:
        for turn in range(5):
            one.wait()
            found[one.rank] += [one.leaders([one.rank, turn]), one.slowest([turn, one.rank])]

    both = pair()  # The store is the leader's.
    threads = [threading.Thread(target=run, args=(one,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [row for turn in range(5) for row in ([0, turn], [turn, 1])]
    assert found[0] == found[1] == expected


def test_one_process_asks_nobody() -> None:
    one = ProcessGroup()
    one.join("cpu")
    one.wait()
    assert (one.leaders("mine"), one.slowest([1.0])) == ("mine", [1.0])


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from search.workers import ray_calls
    from search.workers.ray_backend import RayBackend

    monkeypatch.setattr(ray_calls, "GRACE_SECONDS", 2.0)
    folder = tmp_path / "processes"
    folder.mkdir()
    made = RayBackend(lambda device, group: Member(folder, group), 1, processes=2)
    try:
        yield made
    finally:
        made.close()


def lives(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    return False


def test_a_group_answers_as_one_and_dies_as_one(backend: Any, tmp_path: Path) -> None:
    handle = backend.start()

    def result(method: str, *arguments: Any) -> Any:
        call = backend.call(handle, method, *arguments)
        while backend.wait([call], 5.0) is None:
            pass
        return backend.result(call)

    assert result("place") in backend.alive()
    assert result("load") == "2 processes"
    answer = result("answer", Agree(key="agree"))
    assert (answer.value, answer.error) == ([10.0, 2.0], "")
    assert answer.seconds == 2.0  # Those of both.
    assert result("answer", Fail(key="both fail", ranks=(0, 1))).error == "no numbers"
    with pytest.raises(WorkerDiedError, match="process 2 of its 2 died"):
        result("answer", Die(key="dies", rank=1))
    backend.kill(handle)
    none_is_left(tmp_path / "processes", groups=1)


@pytest.mark.slow
def test_a_group_that_is_lost_is_replaced(backend: Any, tmp_path: Path) -> None:
    pool, told = WorkerPool(backend, 1), list[str]()
    pool.report = told.append
    pool.open()
    asked: list[Any] = [
        Die(key="once", time_limit=LIMIT, rank=1, once=str(tmp_path / "once")),
        Fail(key="one fails", time_limit=LIMIT, ranks=(1,)),
        Agree(key="agree again", time_limit=LIMIT),
        Die(key="dies", time_limit=LIMIT, rank=0),
    ]
    answers = {request.key: answer for request, answer in pool.run_all(asked)}
    assert answers["once"].error == ""
    assert "replacing a worker: process 2 of its 2 died" in told
    fate = "process 2 of its 2 failed (no numbers) and left the others"
    assert answers["one fails"].error == f"killed its worker 2 times: {fate}"
    assert answers["agree again"].value == [10.0, 2.0]
    assert answers["dies"].error == "killed its worker 2 times: process 1 of its 2 died"
    pool.close()
    none_is_left(tmp_path / "processes", groups=4)


def none_is_left(folder: Path, groups: int) -> None:
    """Ray's end of a process takes a moment."""
    processes = [int(path.name) for path in folder.iterdir()]
    assert len(processes) >= 2 * groups
    while any(map(lives, processes)):
        time.sleep(0.1)


def flux(**changes: Any) -> Any:
    network = SimpleNamespace(
        **({"_cp_plan": {}, "config": SimpleNamespace(num_attention_heads=4)} | changes)
    )
    return SimpleNamespace(transformer=network)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (GROUP | {"parallel": ""}, "nothing says how they generate one image; give --parallel"),
        (
            GROUP | {"processes_per_worker": 1},
            "each worker has one process; give --gpus-per-worker",
        ),
        (GROUP | {"workers": 0}, "0 workers run in this process; give --workers 1 or more"),
        (GROUP | {"parallel": "tensor"}, "parallel"),
    ],
)
def test_settings_that_mean_no_group(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(StrategyError, match=error):
        configuration.resolve("tiny-sd", settings)


def test_models_and_spaces_that_cannot_be_shared() -> None:
    settings = configuration.resolve("tiny-sd", GROUP)
    plain = space_of("mmdit", ["fora", "deltacache"])
    parallel_checks.check_parallel(settings, flux(), plain)
    with pytest.raises(StrategyError, match="no plan for context parallelism of the pipeline's tr"):
        parallel_checks.check_parallel(settings, flux(_cp_plan=None), plain)
    with pytest.raises(StrategyError, match="2 processes cannot share the 3 attention heads"):
        shared_tokens.check_sharing(flux(config=SimpleNamespace(num_attention_heads=3)), 2)
    wide = space_of("mmdit", ["fora", "cat", "toca"])
    with pytest.raises(
        StrategyError, match=r"has cat, toca, which .* several processes; give --methods fora$"
    ):
        parallel_checks.check_parallel(settings, flux(), wide)
    parallel_checks.check_parallel(configuration.resolve("tiny-sd", {}), flux(_cp_plan=None), wide)


@pytest.mark.parametrize(
    ("gpus", "processes", "error"),
    [
        (1.0, 2, "2 processes per worker need a GPU each, and 1 GPUs per worker are asked for"),
        (16.0, 16, "1 workers of 16 CPUs and 16 GPUs each asked for, .* has room for 0"),
    ],
)
def test_more_processes_than_devices(
    gpus: float, processes: int, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.workers import ray_backend, ray_runtime

    there = [{"NodeID": "one", "Resources": {"CPU": 16, "GPU": 8}}]
    monkeypatch.setattr(ray_runtime, "connect", lambda *_: None)
    monkeypatch.setattr(ray_backend, "nodes", lambda: there)
    with pytest.raises(StrategyError, match=error):
        ray_backend.RayBackend(Member, 1, "cuda", gpus, processes=processes)


@pytest.mark.parametrize(
    ("given", "gpus", "processes"),
    [
        ({}, None, None),
        ({"parallel": "context", "gpus_per_worker": 2.0}, 2.0, 2),
        ({"parallel": "context", "processes_per_worker": 4}, 4.0, 4),
        ({"gpus_per_worker": 2.0}, 2.0, None),
    ],
)
def test_processes_follow_from_gpus(
    given: dict[str, Any], gpus: float | None, processes: int | None, monkeypatch: Any
) -> None:
    names = ("parallel", "gpus_per_worker", "processes_per_worker", "address")
    flags = Namespace(**(dict.fromkeys(names) | given))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    found = model_setup._group(flags)
    assert (found["gpus_per_worker"], found["processes_per_worker"]) == (gpus, processes)
