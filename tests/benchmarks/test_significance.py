"""Tests of significance that five seeds can bear."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.registry import RESULTS
from benchmarks.search_quality.significance import p_greater, recount


def counted(mine: list[float], others: list[float]) -> float:
    """The share of all arrangements in which `mine` stands at least as well."""
    both = mine + others

    def wins(chosen: tuple[int, ...]) -> float:
        left = [both[i] for i in range(len(both)) if i not in chosen]
        return sum((both[i] > x) + (both[i] == x) / 2 for i in chosen for x in left)

    there = wins(tuple(range(len(mine))))
    every = [wins(c) for c in itertools.combinations(range(len(both)), len(mine))]
    return sum(one >= there for one in every) / len(every)


five = st.lists(st.integers(0, 6).map(float), min_size=4, max_size=4)


@given(five, five)
def test_equals_the_counted_arrangements_with_ties(mine: list[float], others: list[float]) -> None:
    assert p_greater(mine, others) == pytest.approx(counted(mine, others), abs=6e-5)


def test_one_tie_does_not_go_below_the_smallest_p() -> None:
    assert p_greater([6, 7, 8, 9, 9], [1, 2, 3, 4, 5]) == round(1 / 252, 4)
    assert p_greater([1, 1, 1, 1, 1], [1, 1, 1, 1, 1]) == 1


def _p_values(told: Any) -> list[float]:
    if isinstance(told, dict):
        mine = [value for key, value in told.items() if key.endswith("_p")]
        return mine + [p for value in told.values() for p in _p_values(value)]
    return [p for one in told for p in _p_values(one)] if isinstance(told, list) else []


def test_stored_p_values_are_those_of_the_stored_values() -> None:
    paths = sorted(RESULTS.glob("efficiency-*.json"))
    seen = 0
    for path in paths:
        told = json.loads(path.read_text("utf-8"))
        ps = _p_values(told)
        least = round(1 / math.comb(2 * told["seeds"], told["seeds"]), 4)
        assert all(p >= least for p in ps), path.name
        seen += len(ps)
        # A sample of each file; all are recomputed by the script itself.
        rows = told["rows"]
        some = {**told, "rows": [rows[0], *rows[1 :: max(1, len(rows) // 2)]]}
        if "at" in rows[0]:
            keep = list(rows[0]["at"])[:: max(1, len(rows[0]["at"]) // 3)]
            some["rows"] = [row | {"at": {m: row["at"][m] for m in keep}} for row in some["rows"]]
        assert recount(some) == 0, path.name
    assert seen > 700


def test_recount_mends_a_wrong_value() -> None:
    values = {"linear": [1.0, 2.0], "logarithmic": [1.0, 2.0]}
    better = {kind: list(np.array(v) + 5) for kind, v in values.items()}
    told = {
        "rows": [
            {"name": "Stratagem", "at": {"10": {"volumes": better}}},
            {"name": "other", "at": {"10": {"volumes": values, "linear_p": 0.001}}},
        ]
    }
    assert recount(told) == 1
    assert told["rows"][1]["at"]["10"]["linear_p"] == round(1 / 6, 4)  # type: ignore[index]
