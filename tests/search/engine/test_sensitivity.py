"""Per-call sensitivity: the best paths by brute force; what is measured is paid for once."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluate.extraction import ExtractedFeatures, ExtractionSpec
from search.engine.sensitivity import SensitivityMeasurement
from search.initial.sensitivity_schedules import LONGEST, SensitivitySchedules, actions
from search.initial.shortest_path import minimax, smallest_sum
from search.objectives.metric_set import MetricSet
from search.objectives.objectives import BUNDLED_OBJECTIVES
from search.proposers.local_search import swap
from search.study.measurements import Measurements
from search.study.study import Study
from search.workers.executor import Executor
from search.workers.messages import AnyRequest, AnyResponse, Response, SampleRequest
from strategies import Gene, SearchSpace, Strategy
from tests.support.proposals import SPACE, latency, made, scored


def paths(calls: int, computed: int, longest: int) -> list[tuple[int, ...]]:
    rest = itertools.combinations(range(1, calls), computed - 1)
    found = [(0, *one) for one in rest]
    return [
        p for p in found if all(j - i <= longest for i, j in zip(p, (*p[1:], calls), strict=True))
    ]


def test_minimax_is_the_best_of_all_paths() -> None:
    rng = np.random.default_rng(0)
    for calls in (5, 8):
        errors = {
            (i, j): float(rng.integers(0, 6)) * (j > i + 1)
            for i in range(calls)
            for j in range(i + 1, min(i + 3, calls) + 1)
        }

        def worst(path: tuple[int, ...], errors: Any = errors, calls: int = calls) -> list[float]:
            return sorted(errors[s] for s in zip(path, (*path[1:], calls), strict=True))[::-1]

        for computed in range(1, calls + 1):
            every = paths(calls, computed, 3)
            found = minimax(errors, calls, computed)
            if not every:
                assert found is None
                continue
            assert found is not None
            assert len(found) == computed
            assert worst(found) == min(map(worst, every))


def test_the_smallest_sum_knows_the_computed_call_before() -> None:
    rng = np.random.default_rng(1)
    calls = 8
    table = rng.random((calls + 1, calls + 1, calls + 1))

    def cost(before: int | None, i: int, j: int) -> float | None:
        return None if j - i > 3 else float(table[calls if before is None else before, i, j])

    def total(path: tuple[int, ...]) -> float:
        ends = (*path, calls)
        triples = zip((None, *path), ends, ends[1:], strict=False)
        return sum((cost(a, b, c) or 0.0 for a, b, c in triples), 0.0)

    for computed in range(1, calls + 1):
        every = paths(calls, computed, 3)
        found = smallest_sum(cost, calls, computed)
        assert (found is None) == (not every)
        if found is not None:
            assert total(found) == pytest.approx(min(map(total, every)))


class Weighted(Executor):
    """Workers whose images change by a made-up weight for every call that is not computed."""

    slots = 2

    def __init__(self, die_after: int = 10**9) -> None:
        self.seen: Counter[str] = Counter()
        self.waiting: list[AnyRequest] = []
        self.die_after = die_after

    def submit(self, request: AnyRequest) -> None:
        self.waiting.append(request)

    def next(self) -> tuple[AnyRequest, AnyResponse]:
        request = self.waiting.pop(0)
        assert isinstance(request, SampleRequest)
        assert (request.split, request.stop, request.start) == ("search", 4, 0)
        strategy = request.strategy
        self.seen[strategy.digest] += 1
        if sum(self.seen.values()) > self.die_after:
            raise KeyboardInterrupt
        features = np.arange(12, dtype=np.float32).reshape(4, 3) + weight(strategy)
        return request, Response(ExtractedFeatures(4, {"bundled": features}), "", 1.0)

    def close(self) -> None:
        self.waiting.clear()


def weight(strategy: Strategy) -> float:
    early = [call for call, kind in enumerate(strategy.kinds()) if kind and call < 4]
    late = [call for call, kind in enumerate(strategy.kinds()) if kind and call >= 4]
    return 1.0 * len(early) + 0.1 * len(late)


class Measured:
    """Schedules, and the measurement that they follow from."""

    def __init__(self, folder: Path, executor: Weighted, space: SearchSpace = SPACE) -> None:
        folder.mkdir(exist_ok=True)
        self.study = Study(folder / "study.journal")
        self.schedules = SensitivitySchedules(space, "DDIMScheduler")
        network = MetricSet.of(BUNDLED_OBJECTIVES, (), "shapes", "real").network
        self.measurement = SensitivityMeasurement(
            self.schedules, self.study, executor, request, network, folder, lambda _: None
        )

    def measure(self) -> None:
        self.measurement.measure()

    def initial_strategies(self) -> list[tuple[str, Strategy]]:
        return self.schedules.initial_strategies(Measurements(self.study).sensitivity, latency, 24)


def request(strategy: Strategy) -> SampleRequest:
    return SampleRequest(
        key=strategy.digest, strategy=strategy, split="search", stop=4, reading=ExtractionSpec()
    )


def test_sensitivity_finds_where_reuse_is_cheap_and_pays_once(tmp_path: Path) -> None:
    executor = Weighted()
    one = Measured(tmp_path, executor)
    assert (one.schedules.steps, one.schedules.calls) == (8, 8)
    assert actions(SPACE) == [(2, 0)]
    one.measure()
    assert set(executor.seen.values()) == {1}
    stretches = sum(min(i + LONGEST, 8) - i - 1 for i in range(7))
    assert len(executor.seen) == stretches + 1
    initial = one.initial_strategies()
    assert {origin for origin, _ in initial} == {"sensitivity"}
    assert 10 < len(initial) <= 24
    every = one.schedules.schedules(Measurements(one.study).sensitivity)
    chosen = [s for s in every if sum(k == "" for k in s.kinds()) == 6]
    for strategy in chosen:  # Two calls reuse: late ones, not early ones.
        assert all(call >= 4 for call, kind in enumerate(strategy.kinds()) if kind)
    again = Weighted()
    same = Measured(tmp_path, again)
    same.measure()
    assert not again.seen
    assert [s.digest for _, s in same.initial_strategies()] == [s.digest for _, s in initial]


def test_a_killed_measurement_goes_on(tmp_path: Path) -> None:
    whole = Measured(tmp_path / "whole", Weighted())
    whole.measure()
    dying = Weighted(die_after=9)
    with pytest.raises(KeyboardInterrupt):
        Measured(tmp_path / "cut", dying).measure()
    rest = Weighted()
    resumed = Measured(tmp_path / "cut", rest)
    resumed.measure()
    plain = resumed.schedules.asked()[0].digest
    done = {one.digest for one in resumed.schedules.asked()[:8]}
    assert set(rest.seen) & done == {plain}  # The reference alone is drawn twice.
    assert [s.digest for _, s in resumed.initial_strategies()] == [
        s.digest for _, s in whole.initial_strategies()
    ]
    assert resumed.study.spent == len(whole.schedules.asked())  # What was lost is not charged.


def test_extrapolation_is_measured_with_the_stretch_before(tmp_path: Path) -> None:
    genes = [Gene("deepcache", "depth", ("full", 0, 1)), Gene("deepcache", "order", (0, 1))]
    space = SearchSpace("unet", ["DDIMScheduler"], [6], {("DDIMScheduler", 6): 6}, genes)
    assert actions(space) == [(2, 0), (2, 1)]
    one = Measured(tmp_path, Weighted(), space)
    joint = [s for s in one.schedules._stretches((2, 1)) if len(s) == 2]
    assert ((0, 2), (2, 4)) in joint
    assert not [s for s in one.schedules._stretches((2, 0)) if len(s) == 2]
    one.measure()
    assert any(
        "order" in strategy.to_json()["methods"]["deepcache"]
        for _, strategy in one.initial_strategies()
    )


def test_swaps_keep_what_is_done_and_the_chains_improve() -> None:
    rng = np.random.default_rng(0)
    genome = (0, 2, *[0, 0] * 4, *[2, 1] * 4)
    for _ in range(30):
        other = swap(SPACE, genome, rng)
        assert other != genome
        assert sorted(other[2:]) == sorted(genome[2:])
        assert latency(SPACE.decode(other)) == latency(SPACE.decode(genome))
    # All harm is early: the chain moves the reuse to the end without changing the latency.
    rows = [scored(0, (0, 2, *[0, 0], *[2, 0] * 3, *[0, 0] * 4))]
    generation, taken = made("local"), {rows[0].strategy.digest}
    for number in range(1, 40):
        proposal = generation.propose(number, rows, taken)
        assert proposal is not None
        taken.add(proposal.strategy.digest)
        rows.append(scored(number, proposal.genome))
    same = [row for row in rows if row.objectives[1] == rows[0].objectives[1]]
    assert len(same) > 15
    assert min(row.objectives[0] for row in same) < rows[0].objectives[0] - 1.5
