"""Predictions from the genome: what they read, when they are trusted, and what they bring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.proposers.generation_strategy import GenerationStrategy
from search.study.evaluation import Evaluation
from search.study.history import History
from search.surrogate.strategy_features import StrategyFeatures
from search.surrogate.surrogate import MIN_EVALUATIONS, Surrogate
from strategies import Gene, SearchSpace, Strategy
from tests.support.proposals import SPACE, latency, scored

REFERENCE = (12.0, 9.0)


def surrogate(**changes: Any) -> Surrogate:
    return Surrogate(SPACE, ("fd_base", "latency_s"), {"latency_s": latency}, 0, **changes)


def search(count: int, seed: int, screened: bool) -> list[Evaluation]:
    generation, rows, taken = (
        GenerationStrategy(SPACE, [], "nsga2", 8, seed),
        list[Evaluation](),
        set[str](),
    )
    generation.set_measurements(
        latency, surrogate=surrogate() if screened else None, reference=lambda: REFERENCE
    )
    for number in range(count):
        proposal = generation.propose(number, rows, taken)
        assert proposal is not None
        taken.add(proposal.mark)
        rows.append(scored(number, proposal.genome, images=0))
    return rows


def drawn(count: int, noise: bool = False) -> History:
    """Evenly drawn strategies; with noise their quality follows from nothing."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        genome = tuple(int(rng.integers(0, size)) for size in SPACE.sizes)
        row = scored(number, genome, images=0)
        changed = {"objectives": (float(rng.random()), row.objectives[1])} if noise else {}
        rows.append(scored(number, genome, images=0, **changed))
    return History().read(rows)


genomes = st.tuples(*(st.integers(0, size - 1) for size in SPACE.sizes))


@given(genomes, genomes)
@settings(max_examples=60, deadline=None)
def test_descriptions_are_of_what_a_strategy_does(one: Any, other: Any) -> None:
    """Of one length; equal where dead genes are all that differs, and else not."""
    a, b = SPACE.decode(one), SPACE.decode(other)
    describe = StrategyFeatures(SPACE)
    told, others = describe(a), describe(b)
    assert told.shape == others.shape
    assert np.isfinite(told).all()
    assert np.array_equal(told, others) == (a.digest == b.digest)


@given(st.lists(genomes, min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_descriptions_of_many_are_those_of_each(rows: list[Any]) -> None:
    strategies = [SPACE.decode(one) for one in rows]
    describe = StrategyFeatures(SPACE)
    assert np.array_equal(describe.many(strategies), [describe(one) for one in strategies])


def test_descriptions_know_switches_groups_and_knobs_of_a_generation() -> None:
    genes = (
        Gene("fora", "attn", (True, False, (True, False))),
        Gene("fora", "mlp", (True, False, (True, False))),
        Gene("cat", "start", (0.0, 0.5)),
        Gene("cat", "alpha", (1.0, 0.5)),
    )
    space = SearchSpace("dit", ["DDIMScheduler"], [4], {("DDIMScheduler", 4): 4}, genes)
    rng = np.random.default_rng(0)
    seen: dict[str, bytes] = {}
    for _ in range(200):
        genome = tuple(int(rng.integers(0, size)) for size in space.sizes)
        one = space.decode(genome)
        told = StrategyFeatures(space)(one).tobytes()
        assert seen.setdefault(one.digest, told) == told
    assert len(set(seen.values())) == len(seen) > 50


def test_predicts_and_says_how_well() -> None:
    history = drawn(120)
    model = surrogate().fitted(history)
    assert model is not None
    assert model.trusted
    fresh = drawn(240).good[120:]
    found = surrogate().outcomes(model, [one.strategy for one in fresh], 0).mean(0)
    truth = np.array([one.objectives for one in fresh])
    assert np.array_equal(found[:, 1], truth[:, 1])  # Latency is exact.
    assert np.corrcoef(found[:, 0], truth[:, 0])[0, 1] > 0.8


def test_is_not_trusted_where_it_knows_nothing() -> None:
    assert surrogate().fitted(drawn(MIN_EVALUATIONS - 1)) is None
    model = surrogate().fitted(drawn(120, noise=True))
    assert model is not None
    assert not model.trusted
    proposals = []
    for given_model in (None, surrogate()):
        generation = GenerationStrategy(SPACE, [], "nsga2", 8, 0)
        generation.set_measurements(latency, surrogate=given_model, reference=lambda: REFERENCE)
        proposals.append(generation.propose(120, drawn(120, noise=True).good, set()))
    assert proposals[0] == proposals[1]


@pytest.mark.parametrize("best", ["nsga2", "grid"])
def test_chooses_among_children_and_initial_strategies(
    monkeypatch: pytest.MonkeyPatch, best: str
) -> None:
    """What may add most is proposed on the first rung, a seed or a child; nothing a second time."""
    initial = [("grid", SPACE.uniform(SPACE.solvers[0], steps)) for steps in SPACE.steps]
    history = drawn(60)
    pool = 24

    def order(*given: Any) -> list[int]:
        rows = [*given[3], *given[6]]
        assert (len(given[3]), len(given[6])) == (pool, left)
        first = range(pool) if best == "nsga2" else range(pool, len(rows))
        return [*first, *(set(range(len(rows))) - set(first))]

    monkeypatch.setattr(Surrogate, "rank_by_improvement", order)
    generation = GenerationStrategy(SPACE, initial, "nsga2", 4, 0, (4, 16))
    generation.set_measurements(latency, surrogate=surrogate(), reference=lambda: REFERENCE)
    taken = {generation.initial[0][1].digest}
    left = len(generation.initial) - 1
    proposal = generation.propose(60, history.good, taken)
    assert proposal is not None
    assert (proposal.origin == "nsga2", proposal.images) == (best == "nsga2", 4)
    left -= proposal.origin != "nsga2"
    again = generation.propose(60, history.good, taken | {proposal.mark})
    assert again is not None
    assert again.strategy.digest != proposal.strategy.digest


def test_a_fresh_one_goes_on_alike() -> None:
    """Refitting follows a schedule, so it does not matter when a surrogate was made."""
    rows = search(60, 0, screened=True)
    for cut in (31, 47, 59):
        generation = GenerationStrategy(SPACE, [], "nsga2", 8, 0)
        generation.set_measurements(latency, surrogate=surrogate(), reference=lambda: REFERENCE)
        taken = {row.strategy.digest for row in rows[:cut]}
        proposal = generation.propose(cut, rows[:cut], taken)
        assert proposal is not None
        assert proposal.genome == rows[cut].genome


def test_what_breaks_a_limit_comes_last() -> None:
    def slow(one: Strategy) -> float:
        return max(0.0, latency(one) - 3.0)

    history = drawn(120)
    model = surrogate().fitted(history)
    assert model is not None
    rows = [one.strategy for one in history.good[:40]]
    found = surrogate(violation=slow)
    order = found.rank_by_improvement(model, history, rows, REFERENCE, 0)
    outside = [slow(rows[index]) > 0 for index in order]
    assert 0 < sum(outside) < 40
    assert outside == sorted(outside)


def test_what_is_asked_again_is_as_what_is_asked_once() -> None:
    history = drawn(120)
    found = surrogate(violation=lambda one: max(0.0, latency(one) - 6.0))
    rows = [one.strategy for one in drawn(240).good[120:180]]
    for size in (60, 120):
        part = History().read(history.good[:size])
        model = found.fitted(part)
        assert model is not None
        for images in (0, 16, 0):
            once = found.rank_by_improvement(model, part, rows, REFERENCE, images)
            for _ in range(2):
                again = found.rank_by_improvement(
                    model, part, rows[:20], REFERENCE, images, rows[20:]
                )
                assert again == once


@pytest.mark.parametrize("names", [("latency_s", "macs"), ("fd_base", "psnr", "latency_s")])
def test_any_objectives(names: tuple[str, ...]) -> None:
    """Costs alone leave nothing to predict; two predicted objectives are two models."""
    costs: dict[str, Callable[[Any], float]] = {
        name: latency for name in ("latency_s", "macs") if name in names
    }
    found = Surrogate(SPACE, names, costs, 0)
    history = History().read(
        [
            scored(
                one.number, one.genome, images=0, objectives=(*one.objectives, 1.0)[: len(names)]
            )
            for one in drawn(60).good
        ]
    )
    model = found.fitted(history)
    predicted = len(set(names) - set(costs))
    assert (model is None) == (predicted == 0)
    assert model is None or len(model.models) == predicted
