"""Workers whose device breaks: every request after one fails, until they are replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from search.errors import SearchError
from search.workers.executor import InProcessExecutor
from search.workers.failures import MAX_DEATHS_IN_A_ROW
from search.workers.messages import A, AnyRequest, AnyResponse, Request, Response
from search.workers.pool import WorkerPool
from tests.search.engine.test_failed_stages import FEW
from tests.search.workers.test_pool import requests
from tests.support.runs import simulated_workers
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.simulated_workers import Lasting, Simulation

STICKY = "RuntimeError: CUDA error: device-side assert triggered"
CHECK = Lasting(key="check", seconds=1.0)
Breaks = Callable[[AnyRequest], bool]


class Sticky:
    """A worker that fails everything once a request has broken it."""

    device = "fake"

    def __init__(self, breaks: Breaks) -> None:
        self.fakes, self.breaks, self.broken = FakeExecutor(slots=1), breaks, False

    def answer(self, request: Request[A]) -> Response[A]:
        self.broken = self.broken or self.breaks(request)
        return Response(None, STICKY, 0.1) if self.broken else self.fakes.answer(request)


def at(key: str, times: int = 10**9) -> Breaks:
    """Breaks on a request, the first so many times that it is asked."""
    left = [times]

    def breaks(request: AnyRequest) -> bool:
        if request.key != key or left[0] == 0:
            return False
        left[0] -= 1
        return True

    return breaks


def in_process(breaks: Breaks) -> InProcessExecutor:
    return InProcessExecutor(lambda: Sticky(breaks))


@pytest.mark.parametrize(("times", "failed"), [(1, []), (10**9, [5])])
def test_a_candidate_that_breaks_the_device_costs_only_itself(
    tmp_path: Path, times: int, failed: list[int]
) -> None:
    engine = make_engine(tmp_path, in_process(at("5", times)), **FEW)  # type: ignore[arg-type]
    engine.prepare()
    engine.evaluate()
    rows = engine.study.evaluations
    assert len(rows) == 24
    assert [row.number for row in rows if not row.succeeded] == failed
    assert [row.error for row in rows if not row.succeeded] == [
        f"broke its worker 2 times: {STICKY}" for _ in failed
    ]


def test_a_device_that_stays_broken_stops_the_search_and_nothing_is_recorded(
    tmp_path: Path,
) -> None:
    broken: list[bool] = []

    def breaks(request: AnyRequest) -> bool:
        if request.key == "5":
            broken.append(True)
        return bool(broken)

    engine = make_engine(tmp_path / "a", in_process(breaks), **FEW)  # type: ignore[arg-type]
    engine.prepare()
    with pytest.raises(SearchError, match=r"a fresh worker cannot generate.*device-side assert"):
        engine.evaluate()
    assert [row.number for row in engine.study.evaluations] == [0, 1, 2, 3, 4]
    assert all(row.succeeded for row in engine.study.evaluations)
    # On a sound device it goes on as if nothing had happened.
    resumed = make_engine(tmp_path / "a", FakeExecutor(slots=1), **FEW)
    whole = make_engine(tmp_path / "b", FakeExecutor(slots=1), **FEW)
    for one in (resumed, whole):
        one.prepare()
        one.evaluate()
    found, expected = (
        [(e.strategy.digest, dict(e.scores)) for e in one.study.evaluations]
        for one in (resumed, whole)
    )
    assert found == expected


def test_a_failure_of_a_sound_worker_is_its_candidates(tmp_path: Path) -> None:
    asked: list[str] = []

    class Plain(Sticky):
        def answer(self, request: Request[A]) -> Response[A]:
            asked.append(request.key)
            if request.key == "5":
                return Response(None, "ValueError: no such head", 0.1)
            return super().answer(request)

    made: list[Sticky] = []

    def make() -> Sticky:
        made.append(Plain(lambda _: False))
        return made[-1]

    engine = make_engine(tmp_path, InProcessExecutor(make), **FEW)  # type: ignore[arg-type]
    engine.prepare()
    engine.evaluate()
    (row,) = [row for row in engine.study.evaluations if not row.succeeded]
    assert row.error == "ValueError: no such head"
    assert len(made) == 1
    assert asked.count("5") == 1
    assert row.seconds == pytest.approx(0.2)  # The check is paid for.


class Telling(Simulation):
    """Says which process is asked."""

    asked: object = None

    def call(self, handle, method, *arguments):  # type: ignore[no-untyped-def]
        self.asked = handle
        return super().call(handle, method, *arguments)


def broken_in(hands: list[Telling], breaks: Breaks) -> Callable[[AnyRequest], AnyResponse]:
    """Answers of processes that stay broken, by the process that is asked."""
    broken: set[int] = set()

    def answer(request: AnyRequest) -> AnyResponse:
        process = hands[0].asked
        if breaks(request):
            broken.add(id(process))
        if id(process) in broken:
            return Response(None, STICKY, 1.0)
        return simulated_workers.answer(request)

    return answer


def pool_of(workers: int, breaks: Breaks) -> tuple[WorkerPool, Simulation]:
    hands: list[Telling] = []
    hands.append(Telling({"a": workers}, broken_in(hands, breaks)))
    pool = WorkerPool(hands[0], workers)
    pool.open()
    pool.check = CHECK
    return pool, hands[0]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_pool_replaces_a_broken_worker_and_does_again_what_it_failed(workers: int) -> None:
    pool, hands = pool_of(workers, at("4", 1))
    found = {r.key: o for r, o in pool.run_all(requests(12))}
    assert len(found) == 12
    assert not any(o.error for o in found.values())
    assert sum(key == "4" for *_, key in hands.busy) == 2
    assert pool.slots == workers
    # The failed second, and the check, are paid for.
    assert found["4"].seconds == pytest.approx(12.0)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_request_that_breaks_every_worker_is_given_up(workers: int) -> None:
    pool, _ = pool_of(workers, at("4"))
    found = {r.key: o for r, o in pool.run_all(requests(12))}
    assert found["4"].error == f"broke its worker 2 times: {STICKY}"
    assert sum(bool(o.error) for o in found.values()) == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_a_device_that_stays_broken_ends_the_pool_and_blames_nobody(workers: int) -> None:
    broken: list[bool] = []

    def breaks(request: AnyRequest) -> bool:
        if request.key == "4":
            broken.append(True)
        return bool(broken)

    pool, hands = pool_of(workers, breaks)
    found = {}
    with pytest.raises(SearchError, match="not fit for this model"):
        for request, outcome in pool.run_all(requests(40)):
            found[request.key] = outcome
    assert not any(o.error for o in found.values())
    assert len({id(p) for p in hands.processes}) <= workers + MAX_DEATHS_IN_A_ROW
