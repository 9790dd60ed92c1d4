"""What a search evaluates first."""

from __future__ import annotations

import pytest

import zoo
from accel.models.config import read_model
from search import spaces
from search.config import resolve
from search.initial import design as start
from search.initial.joint import JOINT, joint_strategies
from search.proposers import PROPOSERS
from search.proposers.generation_strategy import GenerationStrategy
from search.study.evaluation import WARM_START
from strategies import Gene, SearchSpace, Strategy

STEPS = list(range(4, 20))
GENES = (Gene("deepcache", "depth", ("full", 0, 1)),)
CALLS = {("DDIMScheduler", n): n for n in STEPS}
SPACE = SearchSpace("unet", ["DDIMScheduler"], STEPS, CALLS, GENES)


def latency(one: Strategy) -> float:
    return float(one.calls)


def initial(origin: str = "grid") -> list[start.InitialStrategy]:
    return [(origin, SPACE.uniform("DDIMScheduler", count)) for count in STEPS]


def steps(rows: list[start.InitialStrategy]) -> list[int]:
    return [one.steps for _, one in rows]


def test_the_first_few_are_spread_over_all_latencies() -> None:
    found = steps(start.space_filling_order(initial(), latency))
    assert sorted(found) == STEPS
    assert found == steps(start.space_filling_order(initial()[::-1], latency))
    for count in (2, 4, 8):
        parts = len(STEPS) // count
        assert {(one - STEPS[0]) // parts for one in found[:count]} == set(range(count))


def test_what_earlier_searches_found_comes_first_as_it_comes() -> None:
    known = initial(WARM_START)[5:8][::-1]
    found = start.space_filling_order([*initial()[:4], *known], latency)
    assert found[:3] == known
    assert sorted(steps(found[3:])) == STEPS[:4]
    assert start.space_filling_order([], latency) == []


@pytest.mark.parametrize("count", [0, 3, 40])
def test_seeds_and_strategies_drawn_evenly_by_turns(count: int) -> None:
    known = initial()[:6]
    new = [one for _, one in initial()[6:]] * 4
    found = start.interleave(known, new[:count])
    assert [one for one in found if one[0] == "grid"] == known
    assert len({one.digest for _, one in found}) == len(found) == 6 + min(count, 10)
    assert [origin for origin, _ in found[: 2 * min(count, 6)]] == ["grid", "random"] * min(
        count, 6
    )


def test_joint_strategies_come_first_unless_there_are_those_of_earlier_searches() -> None:
    known = [*initial()[:6], *initial(JOINT)[6:9]]
    new = [one for _, one in initial()[9:]]
    origins = [origin for origin, _ in start.interleave(known, new)]
    assert origins[:5] == [JOINT, JOINT, JOINT, "grid", "random"]
    earlier = [*initial(WARM_START)[-2:], *known]
    origins = [origin for origin, _ in start.interleave(earlier, new)]
    assert origins[:3] == [WARM_START, "random", WARM_START]
    assert origins.count(JOINT) == 3


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("unet-all", {"deepcache", "guidance"}),
        ("unet-small", {"deepcache"}),
        ("dit-guided", {"fora", "guidance"}),
        ("dit-deltacache", {"deltacache", "guidance"}),
        ("dit-cat", {"fora"}),
        ("unet-few", set()),
    ],
)
def test_joint_strategies_use_what_the_space_has(name: str, methods: set[str]) -> None:
    family, model = ("unet", "tiny-sd") if name.startswith("unet") else ("dit", "tiny-pixart")
    settings = read_model(model)
    scheduler = zoo.load(model).scheduler
    space = spaces.make_space(resolve(model, {"space": name}).space, family, scheduler, 1.0)
    found = list(joint_strategies(space, settings.scheduler, settings.steps))
    assert {method for one in found for method in one.canonical().methods} == methods
    for one in found:
        assert space.decode(space.encode(one)).digest == one.digest
        assert (one.scheduler, one.steps <= settings.steps) == (settings.scheduler, True)
    assert [one.steps for one in found] == sorted(one.steps for one in found)


def test_only_steady_state_searches_start_with_some() -> None:
    ours = {n: one for n, one in PROPOSERS.items() if one.__module__.startswith("search.")}
    assert len(ours) > 3
    for name, source in ours.items():  # A benchmark may have added others.
        generation = GenerationStrategy(SPACE, initial()[:4], name, 8, 0)
        generation.set_measurements(latency)
        again = GenerationStrategy(SPACE, initial()[:4], name, 8, 0)
        again.set_measurements(latency)
        assert generation.initial == again.initial
        drawn = [origin for origin, _ in generation.initial].count("random")
        assert (drawn > 0) == source.uses_surrogate == (name in ("nsga2", "nsga3"))


def test_learning_again_keeps_the_initial_strategies() -> None:
    generation = GenerationStrategy(SPACE, initial()[:4], "nsga2", 8, 0)
    generation.set_measurements(latency)
    once = generation.initial
    generation.set_measurements(latency)
    assert generation.initial == once
