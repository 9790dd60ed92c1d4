"""Fronts and hypervolumes beside counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.pareto import (
    hypervolume,
    hypervolume_improvement,
    knee_index,
    nondominated,
    select_subset,
)

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(POINTS)
def test_front_and_hypervolume_by_counting(pairs: list[tuple[int, int]]) -> None:
    points = np.array(pairs, dtype=float)
    kept = {tuple(points[i]) for i in nondominated(points)}
    for p in pairs:
        beaten = any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in pairs)
        assert (p in kept) == (not beaten)
    cells = {
        (x, y) for x in range(9) for y in range(9) if any(p[0] <= x and p[1] <= y for p in pairs)
    }
    assert hypervolume(points, (9, 9)) == pytest.approx(len(cells) / 81)
    chosen = select_subset(points, (9, 9), 3)
    assert len(chosen) <= 3
    assert {tuple(points[i]) for i in chosen} <= kept
    assert 0 <= knee_index(points) < len(points)


@given(st.integers(2, 3).flatmap(lambda n: st.lists(st.tuples(*[st.integers(0, 9)] * n))))
def test_gains_are_what_hypervolume_grows_by(rows: list[tuple[int, ...]]) -> None:
    points = np.array(rows, dtype=float).reshape(len(rows), -1 if rows else 2)
    reference = (8.0,) * points.shape[1]
    front = points[: len(points) // 2]
    front = front[nondominated(front)]
    for one, gain in zip(points, hypervolume_improvement(points, front, reference), strict=True):
        grown = hypervolume(np.vstack([front, one]), reference) - hypervolume(front, reference)
        assert gain == pytest.approx(grown * np.prod(reference), abs=1e-9)
