"""Every way to propose: reproducible from the study alone, and true to what it is named after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.algorithms.moo.nsga2 import binary_tournament
from pymoo.core.problem import Problem
from pymoo.operators.selection.tournament import TournamentSelection

from search.pareto import hypervolume
from search.proposers import SOURCES, Settings, Waiting
from search.proposers import pymoo_adapter as genetic
from search.proposers import schedule_operators as operators
from search.proposers.generation_strategy import Proposer
from search.study.evaluation import Evaluation
from search.study.history import History
from search.study.ranking import Leading
from strategies import Gene, SearchSpace
from strategies.genomes.space import Genome

GENES = (
    Gene("deepcache", "depth", ("full", 0, 1)),
    Gene("tome", "ratio", (0.0, 0.25, 0.5)),
)
CALLS = {("DDIMScheduler", n): n for n in (4, 6, 8)}
SPACE = SearchSpace(
    "unet", ["DDIMScheduler"], [4, 6, 8], CALLS, GENES, {"tome": {"stride": 2, "levels": 1}}
)


def latency(strategy: Any) -> float:
    return float(sum(0.25 if kind else 1.0 for kind in strategy.kinds()))


def scored(number: int, genome: Genome, **changes: Any) -> Evaluation:
    """A made-up evaluation whose losses follow from the genome."""
    strategy = SPACE.decode(genome)
    kinds = enumerate(strategy.kinds())
    harm = sum((1.0 if 3 * call < strategy.calls else 0.1) for call, kind in kinds if kind)
    losses = (harm + 8.0 / strategy.calls, latency(strategy))
    fields: dict[str, Any] = {
        "number": number,
        "origin": "test",
        "genome": genome,
        "strategy": strategy,
        "scores": {"fd_base": losses[0], "latency_s": losses[1]},
        "error": "",
        "seconds": 1.0,
        "objectives": losses,
        "violation": 0.0,
        "images": 8,
    }
    return Evaluation(**fields | changes)


def made(name: str, seed: int = 3) -> Proposer:
    proposer = Proposer(SPACE, [], name, 8, seed)
    proposer.learn(latency)
    return proposer


def search(
    name: str, count: int, fail: Sequence[int] = (), same: bool = False, seed: int = 3
) -> list[Evaluation]:
    """One proposal after the other; some fail; both objectives can be the same."""
    proposer, rows, taken = made(name, seed), list[Evaluation](), set[str]()
    for number in range(count):
        proposal = proposer.propose(number, rows, taken)
        assert proposal is not None
        taken.add(proposal.strategy.digest)
        failed: dict[str, Any] = {"error": "broken", "objectives": (), "scores": {}}
        row = scored(number, proposal.genome, **(failed if number in fail else {}))
        rows.append(replace(row, objectives=row.objectives[:1] * 2) if same else row)
    return rows


@pytest.mark.parametrize("name", SOURCES)
def test_proposals_follow_from_the_finished_evaluations(name: str) -> None:
    """A proposer made afresh at any point goes on as the one that saw everything happen."""
    rows = search(name, 45, fail=(2, 21))
    assert len({row.strategy.digest for row in rows}) == 45
    for cut in (1, 3, 22, 44):
        taken = {row.strategy.digest for row in rows[:cut]}
        again = made(name).propose(cut, rows[:cut], taken)
        assert again is not None
        assert again.genome == rows[cut].genome, cut
    other = Proposer(SPACE, [], name, 8, 4)
    other.learn(latency)
    proposals = [other.propose(n, rows[:20], set()) for n in (20, 21, 22)]
    again = made(name)
    assert proposals != [again.propose(n, rows[:20], set()) for n in (20, 21, 22)]


@pytest.mark.parametrize("name", ["nsga2", "nsga3", "dato", "optuna-nsga2", "optuna-tpe"])
def test_searching_learns(name: str) -> None:
    """Where both objectives are the harm, later proposals do less of it than drawn ones."""
    rows = search("random", 60, same=True)
    proposer, numbers = made(name), range(60, 80)
    new = [proposer.propose(number, rows, set()) for number in numbers]
    harm = [scored(0, one.genome).objectives[0] for one in new if one is not None]
    assert np.mean(harm) < 0.9 * np.mean([row.objectives[0] for row in rows])


def test_searching_beats_drawing() -> None:
    def volume(name: str) -> float:
        runs = [search(name, 120, seed=seed) for seed in range(4)]
        points = [np.array([row.objectives for row in rows]) for rows in runs]
        return float(np.mean([hypervolume(one, (6.0, 8.0)) for one in points]))

    assert volume("nsga2") > volume("random")


def test_generations_wait_for_each_other() -> None:
    rows = search("dato", 20)
    with pytest.raises(Waiting):
        made("dato").propose(20, rows[:-1], set())
    assert made("dato").propose(19, rows[:-1], set()) is not None
    assert made("dato").propose(39, rows, set()) is not None
    with pytest.raises(Waiting):
        made("dato").propose(40, rows, set())


def test_published_children_are_mostly_copies_of_their_parents() -> None:
    """DaTo's operators hardly mutate after rounding; ECAD's flip five genes in a hundred."""
    rng = np.random.default_rng(0)
    same = tuple([1] * 400)
    kinds = {name: SOURCES[name](Settings(SPACE, 8, 0, 0, latency)) for name in ("dato", "ecad")}
    for kind in kinds.values():
        kind.space = _Wide()  # type: ignore[assignment]
    changed = {
        name: np.mean([np.mean(np.array(kind.breed(same, same, rng)) != 1) for _ in range(60)])  # type: ignore[attr-defined]
        for name, kind in kinds.items()
    }
    assert changed["dato"] < 0.01
    assert 0.04 < changed["ecad"] < 0.06


class _Wide:
    sizes = (3,) * 400


def test_the_grid_is_uniform() -> None:
    for row in search("grid", 60):
        kinds = row.strategy.kinds()
        cached = [i for i, kind in enumerate(kinds) if "deepcache" in kind]
        assert len({kind for kind in kinds if "deepcache" in kind}) <= 1
        if cached:
            computed = [i for i in range(len(kinds)) if i not in cached]
            assert computed == list(range(0, len(kinds), computed[1] if len(computed) > 1 else 99))


def test_feasible_comes_first_and_then_the_least_broken() -> None:
    rng = np.random.default_rng(0)
    genomes = [tuple(int(rng.integers(0, size)) for size in SPACE.sizes) for _ in range(12)]
    outside = [3.0, 0.0, 1.0, 0.0, 2.0, 5.0, 4.0, 0.5, 6.0, 7.0, 8.0, 9.0]
    rows = [
        scored(i, g, violation=v) for i, (g, v) in enumerate(zip(genomes, outside, strict=True))
    ]
    history = History().read(rows)
    chosen = genetic.survivors(history, np.arange(12), 5, None, rng)
    assert {int(one.X[0]) for one in chosen} == {1, 3, 7, 2, 4}
    assert set(history.top(8)) == {1, 3}
    wins = Counter(
        row
        for couple in genetic.pairs(chosen, None, np.random.default_rng(0), 60)
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
    quick = genetic.survivors(history, np.arange(200), 24, None, np.random.default_rng(0))
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


def _distinct(row: Evaluation, name: str = "") -> Evaluation:
    return replace(row, strategy=SimpleNamespace(digest=name or str(row.number)))  # type: ignore[arg-type]


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
    assert genetic.pairs(parents, None, np.random.default_rng(seed), 30) == expected
    along = genetic.directions(2, 12)
    twice = [genetic.pairs(parents, along, np.random.default_rng(seed), 30) for _ in range(2)]
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
    history, rows, leading = History(), list[Evaluation](), dict[int, Leading]()
    for number, (a, b, outside, images, again) in enumerate(told):
        row = _distinct(scored(number, genome), str(again) if images == 8 else f"{number}")
        losses = float(a), float(b)
        rows.append(replace(row, objectives=losses, violation=outside, images=images))
        if number % stride == 0:
            for rung in history.read(rows).rungs():
                feasible = rung[history.violations[rung] <= 0]
                asked = min(len(feasible), count + number // 9)
                if asked:
                    own = leading.setdefault(int(history.images[rung[0]]), Leading())
                    found = own.fronts(history, feasible, asked)
                    afresh = Leading().fronts(history, feasible, asked)
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
    chosen = genetic.survivors(history, np.arange(300), 21, along, np.random.default_rng(0))
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


def test_moves_keep_a_calls_genes_together() -> None:
    rng = np.random.default_rng(0)
    row = [0, 1, *(slot % 3 for slot in range(SPACE.slots) for _ in range(2))]
    for move in (operators.copy_neighbour, operators.swap_neighbours, operators.shift_span):
        for _ in range(50):
            changed = row.copy()
            move(SPACE, changed, rng)
            assert changed[SPACE.head :: 2] == changed[SPACE.head + 1 :: 2]
            assert changed[: SPACE.head] == row[: SPACE.head]
            if move is not operators.copy_neighbour:
                assert sorted(changed) == sorted(row)
    mother, father = row, [0, 2, *[2] * 16]
    crossed = operators.segment_crossover(SPACE, mother, father, rng)
    assert crossed[SPACE.head :: 2] == crossed[SPACE.head + 1 :: 2]


def test_a_reset_is_a_change_and_every_child_is_in_the_space() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        changed = [0] * len(SPACE.sizes)
        operators.reset_gene(SPACE, changed, rng)
        assert sum(map(bool, changed)) == 1
    low, high = (0,) * len(SPACE.sizes), tuple(size - 1 for size in SPACE.sizes)
    children = [operators.child(SPACE, low, high, rng) for _ in range(200)]
    for child in children:
        SPACE.decode(child)
    assert len(set(children)) > 150
