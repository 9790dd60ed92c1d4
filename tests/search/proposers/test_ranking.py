"""Ranks of genetic proposers: feasibility, survival, tournaments, niches, rungs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.algorithms.moo.nsga2 import binary_tournament
from pymoo.core.problem import Problem
from pymoo.operators.selection.tournament import TournamentSelection

from search.proposers import pymoo_adapter as genetic
from search.study.evaluation import Evaluation
from search.study.history import History
from search.study.ranking import IncrementalRanking
from tests.support.proposals import SPACE, _distinct, scored


def test_feasible_comes_first_and_then_the_least_broken() -> None:
    rng = np.random.default_rng(0)
    genomes = [tuple(int(rng.integers(0, size)) for size in SPACE.sizes) for _ in range(12)]
    outside = [3.0, 0.0, 1.0, 0.0, 2.0, 5.0, 4.0, 0.5, 6.0, 7.0, 8.0, 9.0]
    rows = [
        scored(i, g, violation=v) for i, (g, v) in enumerate(zip(genomes, outside, strict=True))
    ]
    history = History().read(rows)
    chosen = genetic.survival(history, np.arange(12), 5, None, rng)
    assert {int(one.X[0]) for one in chosen} == {1, 3, 7, 2, 4}
    assert set(history.top(8)) == {1, 3}
    wins = Counter(
        row
        for couple in genetic.tournament_pairs(chosen, None, np.random.default_rng(0), 60)
        for row in couple
    )
    assert wins[1] + wins[3] > 60  # Of 120 parents: infeasible ones only win among themselves.
    assert wins[4] < min(wins[1], wins[3])


def test_survival_among_many_is_pymoos_own() -> None:
    """Leaving out what cannot survive changes nothing."""
    rng = np.random.default_rng(1)
    rows = [
        scored(i, (0, 0, *(0,) * 16), objectives=tuple(rng.random(2)), violation=float(i % 5 == 0))
        for i in range(200)
    ]
    history = History().read([_distinct(row) for row in rows])
    quick = genetic.survival(history, np.arange(200), 24, None, np.random.default_rng(0))
    from pymoo.algorithms.moo.nsga2 import RankAndCrowdingSurvival
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem

    everyone = Population.new(
        "X", np.arange(200)[:, None], "F", history.objectives, "G", history.violations[:, None]
    )
    whole = RankAndCrowdingSurvival().do(
        Problem(n_var=1, n_obj=2, n_ieq_constr=1),
        everyone,
        n_survive=24,
        random_state=np.random.default_rng(0),
    )
    assert {int(one.X[0]) for one in quick} == {int(one.X[0]) for one in whole}


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0])),
        min_size=2,
        max_size=40,
    ),
    st.integers(0, 2**32),
)
@settings(max_examples=100, deadline=None)
def test_tournaments_are_pymoos_own(told: list[tuple[int, int, float]], seed: int) -> None:
    """With ties, ends of fronts and broken limits: the same parents by the same draws of chance."""
    genome = SPACE.encode(SPACE.uniform("DDIMScheduler", 4))
    rows = [
        replace(_distinct(scored(n, genome)), objectives=(float(a), float(b)), violation=outside)
        for n, (a, b, outside) in enumerate(told)
    ]
    parents = genetic.population(History().read(rows), 12, None, np.random.default_rng(seed))
    asked = SimpleNamespace(
        tournament_type="comp_by_rank_and_crowding", random_state=np.random.default_rng(seed)
    )
    problem = Problem(n_var=1, n_obj=2)
    chosen = TournamentSelection(func_comp=binary_tournament).do(
        problem, parents, 30, n_parents=2, random_state=asked.random_state, algorithm=asked
    )
    expected = [(int(first.X[0]), int(second.X[0])) for first, second in chosen]
    assert genetic.tournament_pairs(parents, None, np.random.default_rng(seed), 30) == expected
    along = genetic.directions(2, 12)
    twice = [
        genetic.tournament_pairs(parents, along, np.random.default_rng(seed), 30) for _ in range(2)
    ]
    assert twice[0] == twice[1]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 9), st.integers(0, 9), st.sampled_from([0.0, 0.0, 0.0, 1.0]),
            st.sampled_from([4, 8]), st.integers(0, 30),
        ),
        min_size=1,
        max_size=60,
    ),
    st.sampled_from([1, 2, 5]),
    st.integers(1, 4),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_what_leads_is_followed_exactly(told: list[Any], count: int, stride: int) -> None:
    """Also where the best are promoted to the next rung, and so are gone from theirs."""
    genome = SPACE.encode(SPACE.uniform("DDIMScheduler", 4))
    history, rows, leading = History(), list[Evaluation](), dict[int, IncrementalRanking]()
    for number, (a, b, outside, images, again) in enumerate(told):
        row = _distinct(scored(number, genome), str(again) if images == 8 else f"{number}")
        losses = float(a), float(b)
        rows.append(replace(row, objectives=losses, violation=outside, images=images))
        if number % stride == 0:
            for rung in history.read(rows).rungs():
                feasible = rung[history.violations[rung] <= 0]
                asked = min(len(feasible), count + number // 9)
                if asked:
                    own = leading.setdefault(int(history.images[rung[0]]), IncrementalRanking())
                    found = own.fronts(history, feasible, asked)
                    afresh = IncrementalRanking().fronts(history, feasible, asked)
                    assert found.rows.tolist() == afresh.rows.tolist()
                    assert found.ranks.tolist() == afresh.ranks.tolist()


def test_niches_keep_three_objectives_apart() -> None:
    rng = np.random.default_rng(2)
    points = rng.random((300, 3))
    points /= points.sum(1, keepdims=True)  # All on one front.
    rows = [scored(i, (0, 0, *(0,) * 16), objectives=tuple(p)) for i, p in enumerate(points)]
    history = History().read([_distinct(row) for row in rows])
    along = genetic.directions(3, 24)
    assert len(along) == 21
    chosen = genetic.survival(history, np.arange(300), 21, along, np.random.default_rng(0))
    niches = {int(one.get("niche")) for one in chosen}
    assert len(niches) >= 18


def test_higher_rungs_come_first_and_are_never_compared() -> None:
    genome = (0, 0, *(0,) * 16)
    rows = [
        _distinct(scored(0, genome, objectives=(0.1, 0.1), images=4)),
        _distinct(scored(1, genome, objectives=(9.0, 9.0), images=8)),
        _distinct(scored(2, genome, objectives=(0.2, 0.2), images=4)),
    ]
    history = History().read(rows)
    assert [list(rung) for rung in history.rungs()] == [[1], [0, 2]]
    best = genetic.population(history, 2, None, np.random.default_rng(0))
    assert [(int(one.X[0]), one.get("rank")) for one in best] == [(1, 0), (0, 1)]
