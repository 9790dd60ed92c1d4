"""Every way to propose: reproducible from the study alone, and true to what it is named after.

`stored_proposals.json` has the digests of the proposals of version 0.1. A change of the code that
is not meant to change a search keeps them. After one that is, or a new version of pymoo or Optuna,
write what the failing test shows.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from search.pareto import hypervolume
from search.proposers import PROPOSERS, NotReadyError, ProposerSettings
from search.proposers import schedule_operators as operators
from search.proposers.generation_strategy import GenerationStrategy
from tests.support.proposals import SPACE, latency, made, scored, search

STORED: dict[str, str] = json.loads(
    (Path(__file__).parent / "stored_proposals.json").read_text("utf-8")
)


@pytest.mark.parametrize("name", PROPOSERS)
def test_proposals_follow_from_the_finished_evaluations(name: str) -> None:
    """A proposer made afresh at any point goes on as the one that saw everything happen."""
    rows = search(name, 45, fail=(2, 21))
    assert len({row.strategy.digest for row in rows}) == 45
    if name in STORED:  # Benchmarks bring proposers of their own.
        assert " ".join(row.strategy.digest[:12] for row in rows) == STORED[name]
    for cut in (1, 3, 22, 44):
        taken = {row.strategy.digest for row in rows[:cut]}
        again = made(name).propose(cut, rows[:cut], taken)
        assert again is not None
        assert again.genome == rows[cut].genome, cut
    other = GenerationStrategy(SPACE, [], name, 8, 4)
    other.set_measurements(latency)
    proposals = [other.propose(n, rows[:20], set()) for n in (20, 21, 22)]
    same_seed = made(name)
    assert proposals != [same_seed.propose(n, rows[:20], set()) for n in (20, 21, 22)]


@pytest.mark.parametrize("name", ["nsga2", "nsga3", "dato", "optuna-nsga2", "optuna-tpe"])
def test_searching_learns(name: str) -> None:
    """Where both objectives are the harm, later proposals do less of it than drawn ones."""
    rows = search("random", 60, same=True)
    generation, numbers = made(name), range(60, 80)
    new = [generation.propose(number, rows, set()) for number in numbers]
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
    with pytest.raises(NotReadyError):
        made("dato").propose(20, rows[:-1], set())
    assert made("dato").propose(19, rows[:-1], set()) is not None
    assert made("dato").propose(39, rows, set()) is not None
    with pytest.raises(NotReadyError):
        made("dato").propose(40, rows, set())


def test_published_children_are_mostly_copies_of_their_parents() -> None:
    """DaTo's operators hardly mutate after rounding; ECAD's flip five genes in a hundred."""
    rng = np.random.default_rng(0)
    same = tuple([1] * 400)
    kinds = {
        name: PROPOSERS[name](ProposerSettings(SPACE, 8, 0, 0, latency))
        for name in ("dato", "ecad")
    }
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


def test_moves_keep_a_calls_genes_together() -> None:
    rng = np.random.default_rng(0)
    row = [0, 1, *(slot % 3 for slot in range(SPACE.slots) for _ in range(2))]
    for move in (operators.copy_neighbour, operators.swap_neighbours, operators.shift_span):
        for _ in range(50):
            changed = row.copy()
            move(SPACE, changed, rng)
            assert changed[SPACE.global_count :: 2] == changed[SPACE.global_count + 1 :: 2]
            assert changed[: SPACE.global_count] == row[: SPACE.global_count]
            if move is not operators.copy_neighbour:
                assert sorted(changed) == sorted(row)
    mother, father = row, [0, 2, *[2] * 16]
    crossed = operators.segment_crossover(SPACE, mother, father, rng)
    assert crossed[SPACE.global_count :: 2] == crossed[SPACE.global_count + 1 :: 2]


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
