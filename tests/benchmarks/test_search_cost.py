"""The benchmarks of the device time of searches, their main pieces on evaluations made up here."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.search_cost import gpu_hours, one_search, table_turns
from benchmarks.search_cost.reached import Curve, first, volumes
from benchmarks.search_cost.search_rules import compare
from benchmarks.search_cost.shared_prefixes import acts, saved
from benchmarks.search_cost.small_search import IMAGES, Measured, Rules, SmallSearch, Volumes
from benchmarks.search_cost.time_to_front import BEFORE, NOW, Build, row, times
from evaluate.speed.latency_measurement import OverheadTiming
from evaluate.speed.latency_table import LatencyTable
from search.costs import measurement
from search.study.evaluation import Evaluation
from strategies import Strategy

SOLVER = "DDIMScheduler"
TABLE = LatencyTable(
    fixed=1.0, solver={SOLVER: 0.0}, kinds={"": 1.0, "deepcache.depth=1": 0.5}, spread={}, device=""
)


def strategy(*depths: Any, steps: int | None = None) -> Strategy:
    methods = {"deepcache": {"depth": list(depths)}}
    calls = len(depths)
    return Strategy.create(
        family="unet", scheduler=SOLVER, steps=steps or calls, calls=calls, methods=methods
    )


def evaluation(
    one: Strategy, images: int, distance: float = 1.0, share: float = 1.0, seconds: float = 10.0
) -> Evaluation:
    scores = {"fd_base": distance, "speedup": 1 / share}
    return Evaluation(0, "", (), one, scores, "", seconds, (distance, share), 0.0, images)


def test_a_prefix_is_shared_up_to_a_call_that_computes_everything() -> None:
    one = strategy("full", 1, "full", "full")
    other = strategy("full", 1, "full", 1)
    third = strategy("full", 1, 1, "full")
    assert acts(one) == ("", "deepcache.depth=1", "", "")
    below = {4: 0, 16: 4}
    # An image of `other` takes 4 s, three of them in its calls; it shares two calls of 1.5 s.
    found = saved([evaluation(one, 4), evaluation(other, 4)], TABLE, below, anywhere=False)
    assert found == pytest.approx(10 * 1.5 / 4)
    anywhere = saved([evaluation(one, 4), evaluation(other, 4)], TABLE, below, anywhere=True)
    assert anywhere == pytest.approx(10 * 2.5 / 4)
    assert saved([evaluation(one, 4), evaluation(third, 4)], TABLE, below, anywhere=False) == 0
    # Other images, or other steps, share nothing; a strategy that failed made nothing.
    assert saved([evaluation(one, 4), evaluation(other, 16)], TABLE, below, anywhere=True) == 0
    fewer = strategy("full", 1, "full", 1, steps=3)
    assert saved([evaluation(one, 4), evaluation(fewer, 4)], TABLE, below, anywhere=True) == 0


def curve(*rows: tuple[int, float, float], before: float = 0.0) -> Curve:
    """A search of rows of images, distance and share of latency, of 10 s each."""
    made = [evaluation(strategy("full", 1), *one) for one in rows]
    seconds = [before + 10.0 * (index + 1) for index in range(len(rows))]
    return Curve(made, seconds, 16, "fd_base", 100.0)


def test_the_time_of_reaching_a_front_is_that_of_the_evaluation_that_does_it() -> None:
    slow = curve((4, 50.0, 0.9), (16, 50.0, 0.5), (16, 20.0, 0.5), before=30.0)
    fast = curve((16, 20.0, 0.5), (16, 10.0, 0.5))
    assert slow.after(3) == 60.0
    assert slow.after(4) == inf
    assert len(slow.until(50.0)) == 1
    goal = volumes(slow.points(slow.until(60.0)), 100.0)["linear"]
    assert goal == pytest.approx(0.8 * 0.5)
    assert slow.reached(goal, "linear", 100.0) == 60.0
    assert fast.reached(goal, "linear", 100.0) == 10.0
    assert fast.reached(0.99, "linear", 100.0) == inf
    found = times(slow, fast, 3, 100.0, None)
    assert found["search_linear"] == pytest.approx(10 / 60)
    assert times(slow, fast, 4, 100.0, None) == {}
    told = row(NOW, 3, [found] * 5)
    assert told["search_linear"] == pytest.approx(0.167)
    assert told["search_linear_p"] < 0.01
    assert row(NOW, 3, [found])["search_linear_p"] is None
    assert first(lambda mark: mark > 2, [1, 2, 3, 4]) == 3
    assert first(lambda mark: False, [1, 2]) == inf


def test_builds_run_their_own_code_and_savings_are_switched_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = ["--budget", "9evals"]
    assert Build(BEFORE, Path("code")).command(flags)[1:] == ["-m", "search", *flags]
    command = Build("without embeddings", Path(), ("embeddings",)).command(flags)
    assert command[1:] == [
        *("-m", "benchmarks.search_cost.one_search", "--without", "embeddings", "--"),
        *flags,
    ]
    for owner, name, _ in one_search.SAVINGS.values():
        monkeypatch.setattr(owner, name, getattr(owner, name))  # Put back at the end.
    asked: list[list[str]] = []

    def main(given: list[str]) -> int:
        asked.append(given)
        return 0

    monkeypatch.setattr("search.cli.main", main)
    assert one_search.search(["--without", "early table", "--", *flags]) == 0
    assert asked == [flags]
    assert vars(measurement)["is_precise"]([], [], strategy("full"), [], 1.0) is False


def made_up() -> Measured:
    """Strategies whose distance falls with their latency, known on any number of images."""
    rng = np.random.default_rng(0)
    count = 400
    latency = rng.uniform(0.05, 1.0, count)
    distance = np.exp(rng.normal(0, 0.3, count)) / latency
    inputs = np.column_stack([np.log(latency), np.log(distance)])
    return Measured(inputs, dict.fromkeys(IMAGES, distance), latency, (40.0, 1.0))


def test_a_rule_by_seconds_prefers_the_fast_one_of_two_gains() -> None:
    spent = []
    for power in (0.0, 1.0):
        search = SmallSearch(made_up(), Rules(power=power), 0)
        while len(search.tried) < 90:
            search.step()
        spent.append(search.spent)
        assert 0 < search.volumes().linear < 1
    assert spent[1] < spent[0]


def test_the_first_may_be_the_fast_ones() -> None:
    def spent(power: float) -> float:
        search = SmallSearch(made_up(), Rules(rungs=(16,), start_power=power), 0)
        while len(search.tried) < 30:
            search.step()
        return search.spent

    assert spent(2.0) < spent(1.0) < spent(0.0)


def test_the_best_third_may_be_promoted_by_gain() -> None:
    known = made_up()
    slow, fast = np.argsort(known.latency)[[-1, 0]].tolist()
    for power, chosen in ((None, slow), (0.0, fast), (1.0, fast)):
        assert SmallSearch(known, Rules(promoted_power=power), 0)._next([slow, fast], 1) == chosen
    better = np.where(known.latency == known.latency[slow], 1e-3, 39.0)
    close = Measured(known.inputs, dict.fromkeys(IMAGES, better), known.latency, (40.0, 2.0))
    assert SmallSearch(close, Rules(promoted_power=0.0), 0)._next([fast, slow], 1) == slow


def test_rungs_pay_for_the_images_that_are_missing() -> None:
    known = made_up()
    search = SmallSearch(known, Rules(rungs=(2, 8, 16), reduction=2), 0)
    turns = []
    for _ in range(30):
        before = search.spent
        rung = search.step()
        row_ = search._done[rung][-1]
        turns.append(rung)
        assert search.spent - before == pytest.approx((2, 6, 8)[rung] * known.latency[row_])
    # Of every two one is promoted.
    assert turns[:7] == [0, 0, 1, 0, 0, 1, 2]
    assert [turns.count(rung) for rung in range(3)] == [18, 8, 4]


def test_rules_are_compared_at_equal_device_time() -> None:
    slow = [Volumes(50.0, 0.5, 0.2), Volumes(130.0, 0.8, 0.3), Volumes(230.0, 0.9, 0.4)]
    fast = [Volumes(one.seconds / 2, one.linear, one.logarithmic) for one in slow]
    never = [Volumes(50.0, 0.4, 0.1)]
    rows = compare({"default": [slow] * 5, "fast": [fast] * 5, "never": [never] * 5})
    found = {(one["rules"], one["device_s"]): one for one in rows}
    assert found["default", 120.0]["linear"] == 0.5
    assert found["fast", 120.0]["linear"] == 0.9
    assert found["fast", 120.0]["linear_p"] < 0.01
    assert found["fast", 240.0]["logarithmic_time"] == pytest.approx(115 / 240, abs=0.01)
    assert found["never", 120.0]["linear_time"] is None


def test_turns_that_differ_as_a_whole_agree_in_shares() -> None:
    turns: list[table_turns.Turn] = []
    for slow in (5.0, 1.0, 1.2, 1.5, 1.1):
        kinds = {"": [slow], "deepcache.depth=1": [0.5 * slow]}
        around = [OverheadTiming(SOLVER, n, slow * (1 + 0.1 * n)) for n in (4, 12)]
        turns.append((kinds, around))
    rows = table_turns.agreement(turns, strategy("full", "full"), [strategy("full", 1)])
    assert [one["counted_turns"] for one in rows] == [1, 2]
    assert rows[0]["median_difference"] > 0.1
    assert all(one["median_difference_of_shares"] == 0 for one in rows)


def test_hours_are_those_of_the_images_of_both_rungs() -> None:
    assert gpu_hours.images(100, (16, 64)) == 75 * 16 + 25 * 48
    rate = gpu_hours.measured("sd15")
    assert "batch 8" in rate.source
    assert 0 < rate.seconds < 10
