"""The pool of workers on a virtual clock: joining, leaving, dying, hanging, and being alone."""

from __future__ import annotations

from typing import Any

import pytest

from search.workers.failures import MAX_DEATHS_IN_A_ROW, MAX_DEATHS_PER_REQUEST
from search.workers.messages import AnyRequest, AnyResponse, Response
from search.workers.pool import WorkerPool
from strategies import StrategyError
from tests.support.runs.simulated_workers import Lasting, Simulation, answer


def requests(count: int, seconds: float = 10.0, limit: float | None = None) -> list[Lasting]:
    return [Lasting(key=str(n), seconds=seconds, time_limit=limit) for n in range(count)]


def make(hands: Simulation, workers: int) -> WorkerPool:
    pool = WorkerPool(hands, workers)
    pool.open()
    return pool


def test_all_workers_work_and_everything_is_answered_once() -> None:
    hands = Simulation({"a": 2, "b": 2}, answer)
    pool = make(hands, 4)
    assert pool.slots == 4
    began = hands.clock
    found = [request.key for request, _ in pool.run_all(requests(12))]
    assert sorted(found, key=int) == [str(n) for n in range(12)]
    assert hands.clock - began == pytest.approx(30.0)


def test_nodes_that_come_later_are_used_up_to_the_workers_asked_for() -> None:
    hands = Simulation({"a": 1}, answer)
    pool = make(hands, 3)
    assert pool.slots == 1
    hands.events.append((hands.clock + 15, lambda: hands.nodes.update(b=5)))
    assert len(list(pool.run_all(requests(12)))) == 12
    assert pool.slots == 3
    assert sum(node == "b" for _, _, node, _ in hands.busy) >= 6


def test_a_lost_node_costs_what_was_under_way_and_no_candidate_its_name() -> None:
    hands = Simulation({"a": 2, "b": 8}, answer)
    pool = make(hands, 10)
    hands.events.append((hands.clock + 5, lambda: hands.lose("b")))
    found = {r.key: o for r, o in pool.run_all(requests(20))}
    assert len(found) == 20
    assert not any(outcome.error for outcome in found.values())
    # The time that went with the node is paid for.
    assert sum(outcome.seconds for outcome in found.values()) == pytest.approx(20 * 10 + 8 * 5)
    assert len(hands.busy) == 28


def test_without_any_node_the_pool_waits_for_one() -> None:
    hands = Simulation({"a": 1}, answer)
    pool = make(hands, 1)
    said: list[str] = []
    pool.report = said.append
    hands.events.append((hands.clock + 5, lambda: hands.lose("a")))
    hands.events.append((hands.clock + 500, lambda: hands.nodes.update(c=1)))
    assert len(list(pool.run_all(requests(3)))) == 3
    assert any("waiting for a worker" in text for text in said)


def test_what_kills_its_worker_twice_is_given_up() -> None:
    def poison(request: AnyRequest) -> AnyResponse:
        return Response(None, "dies", 3.0) if request.key == "4" else answer(request)

    hands = Simulation({"a": 2}, poison)
    found = {r.key: o for r, o in make(hands, 2).run_all(requests(8))}
    assert found["4"].error == f"killed its worker {MAX_DEATHS_PER_REQUEST} times"
    assert found["4"].seconds == pytest.approx(6.0)
    assert sum(bool(outcome.error) for outcome in found.values()) == 1
    assert sum(key == "4" for *_, key in hands.busy) == MAX_DEATHS_PER_REQUEST


def test_a_machine_on_which_everything_dies_ends_the_search() -> None:
    hands = Simulation({"a": 1}, lambda request: Response(None, "dies", 1.0))
    with pytest.raises(StrategyError, match="not fit for this model"):
        list(make(hands, 1).run_all(requests(8)))
    assert len(hands.busy) == MAX_DEATHS_IN_A_ROW


def test_what_hangs_is_broken_off_at_its_limit_and_its_worker_replaced() -> None:
    def hang(request: AnyRequest) -> AnyResponse:
        return Response("late", "", 1e9) if request.key == "1" else answer(request)

    hands = Simulation({"a": 2}, hang)
    pool = make(hands, 2)
    found = {r.key: o for r, o in pool.run_all(requests(9, limit=60.0))}
    assert found["1"].error == "took longer than its limit of 60 s"
    assert found["1"].value is None
    assert found["1"].seconds == pytest.approx(60.0)
    assert sum(bool(outcome.error) for outcome in found.values()) == 1
    assert pool.slots == 2
    assert sum(key == "1" for *_, key in hands.busy) == 1


def test_devices_of_two_kinds_are_refused_at_the_start() -> None:
    hands = Simulation({"a": 1, "b": 1}, answer, device=lambda node: {"a": "H100", "b": "T4"}[node])
    with pytest.raises(StrategyError, match=r"devices differ: H100 and T4.*cluster of one kind"):
        make(hands, 2)


def test_a_device_of_another_kind_that_comes_later_is_left_out() -> None:
    hands = Simulation({"a": 1}, answer, device=lambda node: {"a": "H100", "b": "T4"}[node])
    pool = make(hands, 2)
    said: list[str] = []
    pool.report = said.append
    hands.events.append((hands.clock + 5, lambda: hands.nodes.update(b=1)))
    assert len(list(pool.run_all(requests(6)))) == 6
    assert {node for _, _, node, _ in hands.busy} == {"a"}
    assert any("T4" in text for text in said)


def test_timing_is_alone_whatever_is_under_way_or_joining() -> None:
    hands = Simulation({"a": 2}, answer)
    pool = make(hands, 4)
    for request in requests(2):
        pool.submit(request)
    # Two more find room while the timing runs; they must not load their models beside it.
    hands.events.append((hands.clock + 15, lambda: hands.nodes.update(a=4)))
    outcome = pool.run_exclusive(Lasting(key="timing", seconds=20.0))
    assert outcome.value == "timing"
    begin, end = next((b, e) for b, e, _, key in hands.busy if key == "timing")
    assert all(e <= begin or b >= end for b, e, _, key in hands.busy if key != "timing")
    assert pool.slots == 2
    answers = [pool.next(), pool.next()]
    assert sorted(a[0].key for a in answers if a is not None) == ["0", "1"]
    assert len(list(pool.run_all(requests(8)))) == 8
    assert pool.slots == 4


def test_timing_goes_on_with_another_worker_where_its_own_dies() -> None:
    deaths = iter([True, False])

    def once(request: AnyRequest) -> AnyResponse:
        if request.key == "timing" and next(deaths):
            return Response(None, "dies", 1.0)
        return answer(request)

    hands = Simulation({"a": 1}, once)
    outcome = make(hands, 1).run_exclusive(Lasting(key="timing", seconds=20.0))
    assert (outcome.value, outcome.error) == ("timing", "")


def test_a_model_that_cannot_be_loaded_is_an_error() -> None:
    hands: Any = Simulation({"a": 1}, answer, device=lambda node: "broken")
    with pytest.raises(StrategyError, match="no such model"):
        make(hands, 1)
