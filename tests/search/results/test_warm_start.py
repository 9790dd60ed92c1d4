"""Warm starts: the nearest strategy of a space, and what is read from runs and files."""

from __future__ import annotations

from pathlib import Path

import pytest

import strategies
from search import config
from search.initial.baselines import known_strategies
from search.initial.projection import nearest_choice, nearest_strategy
from search.results import warm_start as warm
from search.study.study import Study
from strategies import Gene, SearchSpace, Strategy, StrategyError
from tests.support.proposals import SPACE, scored


def made(
    calls: int, steps: int | None = None, scheduler: str = "DDIMScheduler", **methods: object
) -> Strategy:
    return Strategy.create(
        family="unet", scheduler=scheduler, steps=steps or calls, calls=calls, methods=methods
    )


def test_what_the_space_has_stays_as_it_is() -> None:
    one = made(6, deepcache={"depth": ["full", 1, 0, "full", 1, 1]})
    assert nearest_strategy(SPACE, one).digest == one.digest


def test_the_nearest_choices() -> None:
    given = made(
        12,
        deepcache={"depth": ["full", 3, 3, "full", 3, 3] * 2},
        tome={"ratio": [0.0, 0.1, 0.3, 0.45, 0.6, 0.0] * 2, "stride": 2, "levels": 1},
    )
    found = nearest_strategy(SPACE, given)
    assert (found.scheduler, found.steps, found.calls) == ("DDIMScheduler", 8, 8)
    depths, ratios = found.methods["deepcache"].depth, found.methods["tome"].ratio  # type: ignore[attr-defined]
    resampled = given.resample(calls=8)
    theirs = resampled.methods["deepcache"].depth  # type: ignore[attr-defined]
    assert list(depths) == ["full" if d == "full" else 1 for d in theirs]
    expected = {0.0: 0.0, 0.1: 0.25, 0.3: 0.25, 0.45: 0.5, 0.6: 0.5}
    wanted = [expected[r] for r in resampled.methods["tome"].ratio]  # type: ignore[attr-defined]
    assert list(ratios) == wanted


def test_other_solvers_and_unknown_methods() -> None:
    given = made(6, scheduler="EulerDiscreteScheduler", tgate={"gate": 3})
    found = nearest_strategy(SPACE, given)
    assert (found.scheduler, found.steps) == ("DDIMScheduler", 6)
    assert not found.methods


def test_lists_by_entries_that_differ() -> None:
    choices = (True, False, (True, False, False), (False, True, True))
    calls = {("DDIMScheduler", 2): 2}
    space = SearchSpace("dit", ["DDIMScheduler"], [2], calls, [Gene("fora", "attn", choices)])
    (attn,) = space.call_genes
    assert nearest_choice(attn.choices, (True, True, False), True) in (0, 2)
    assert nearest_choice(attn.choices, (False, False, False), True) == 1
    assert nearest_choice(attn.choices, (False, True, True), True) == 3


def test_runs_and_files(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    config.resolve("tiny-sd", {}).write(run / "config.yaml")
    study = Study(run / "study.journal")
    genomes = [(0, n, *([0, 0] * (8 - k) + [2, 0] * k)) for n, k in ((0, 0), (1, 4), (2, 2))]
    for number, genome in enumerate(genomes):
        study.add(scored(number, genome, objectives=(float(number), 3.0 - number)))
    study.add(scored(3, (0, 2, *[2, 2] * 8), objectives=(99.0, 99.0)))
    study.add(scored(4, (0, 2, *[0, 0] * 8), error="broken", objectives=(), scores={}))
    one = made(6, deepcache={"depth": ["full", 1, 1, "full", 1, 1]})
    strategies.save(one, tmp_path / "one.json")
    found = warm.warm_start_strategies([str(run), str(tmp_path / "one.json")], "unet")
    assert {s.digest for s in found} == {SPACE.decode(g).digest for g in genomes} | {one.digest}
    (tmp_path / "empty").mkdir()
    with pytest.raises(StrategyError, match="neither a run's folder"):
        warm.warm_start_strategies([str(tmp_path / "empty")], "unet")
    with pytest.raises(StrategyError, match="family 'unet'; this model's is 'dit'"):
        warm.warm_start_strategies([str(run)], "dit")


def test_published_schedules_are_seeds_where_they_were_made_for_the_model() -> None:
    genes = (
        Gene("deepcache", "depth", ("full", 0, 1)),
        Gene("dato", "ratio", (0.0, 0.3, 0.7)),
    )
    calls = {("PNDMScheduler", 50): 51, ("DDIMScheduler", 50): 50}
    space = SearchSpace("unet", ["PNDMScheduler", "DDIMScheduler"], [50], calls, genes)
    found = known_strategies(space, "PNDMScheduler", 50, ["preset"])
    assert {origin for origin, _ in found} == {"preset"}
    digests = {one.digest for _, one in found}
    assert strategies.load("deepcache-n3").digest in digests
    combined = [one for _, one in found if set(one.methods) == {"deepcache", "dato"}]
    given = strategies.load("dato-b1")
    assert [one.depths for one in combined] == [given.canonical().depths]
    assert known_strategies(space, "DDIMScheduler", 50, ["preset"]) == []
