"""When the latency table is precise enough: by the latencies that it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
import pytest

from evaluate.speed.latency_measurement import OverheadTiming
from search.costs.table_precision import MIN_TURNS, PRECISE, is_precise, relative_error
from strategies import Strategy

SOLVER = "DDIMScheduler"
SHALLOW, DEEP = "deepcache.depth=1", "deepcache.depth=3"
Turn = dict[str, list[float]]


def strategy(depth: int | None, calls: int = 8) -> Strategy:
    every = ["full", *[depth] * (calls - 1)]
    methods = {} if depth is None else {"deepcache": {"depth": every}}
    return Strategy.create(
        family="unet", scheduler=SOLVER, steps=calls, calls=calls, methods=methods
    )


def error(turns: Sequence[Turn], *strategies: Strategy) -> float:
    around = [[OverheadTiming(SOLVER, n, 0.1 + 0.01 * n) for n in (4, 12)] for _ in turns]
    return relative_error(turns, around, strategy(None), strategies, 1.0)


def turn(full: float = 1.0, shallow: float = 0.3, deep: float = 0.5) -> Turn:
    return {"": [full], SHALLOW: [shallow], DEEP: [deep]}


def test_equal_turns_have_no_error_and_few_turns_say_nothing() -> None:
    turns = [turn(full=9.0), *[turn()] * (MIN_TURNS - 1)]
    assert error(turns, strategy(None), strategy(1)) == pytest.approx(0, abs=1e-12)
    assert error(turns[:-1], strategy(None)) == inf
    around = [[OverheadTiming(SOLVER, n, 0.1) for n in (4, 12)] for _ in turns]
    assert is_precise(turns, around, strategy(None), [strategy(1)], 1.0)
    assert not is_precise(turns[:-1], around[:-1], strategy(None), [strategy(1)], 1.0)


def test_only_kinds_count_that_strategies_use() -> None:
    turns = [turn(), turn(deep=0.2), turn(deep=0.8)]
    assert error(turns, strategy(1)) == pytest.approx(0, abs=1e-12)
    assert error(turns, strategy(3)) > PRECISE


def test_a_slow_turn_says_nothing_against_the_shares() -> None:
    around = [
        [OverheadTiming(SOLVER, n, slow * (0.1 + 0.01 * n)) for n in (4, 12)]
        for slow in (1.0, 1.0, 2.0)
    ]
    turns = [turn(), turn(), turn(2.0, 0.6, 1.0)]
    found = relative_error(turns, around, strategy(None), [strategy(1), strategy(3)], 1.0)
    assert found == pytest.approx(0, abs=1e-12)
    turns[2] = turn(1.0, 0.6, 1.0)  # All but the unaccelerated calls are slow.
    assert error(turns, strategy(1), strategy(3)) > 2 * PRECISE


def test_the_error_falls_as_the_turns_grow_in_number() -> None:
    rng = np.random.default_rng(0)
    errors = []
    for count in (4, 32):
        found = []
        for _ in range(20):
            noise = 1 + 0.1 * rng.standard_normal((count, 3))
            turns = [turn(*row) for row in np.array([1.0, 0.3, 0.5]) * noise]
            found.append(error(turns, strategy(1), strategy(3)))
        errors.append(float(np.median(found)))
    # The standard error of a median falls about with the root of the number: 3 and 31 count.
    assert 1.8 < errors[0] / errors[1] < 6
