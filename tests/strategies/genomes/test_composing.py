"""Spaces composed of methods: every genome means a strategy, and back."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from search.initial import method_switching as switching
from search.initial.projection import nearest_strategy
from search.proposers import schedule_operators as operators
from search.results.plots.schedules import differing_knobs
from search.spaces import with_calls
from search.surrogate.strategy_features import StrategyFeatures
from strategies import Strategy, StrategyError, cli, describe, parse
from strategies.files import dump
from strategies.genomes import compose
from tests.support.composed_spaces import CALLS, FAMILIES, STEPS, composed, of_family, space_of


@given(composed())
@settings(max_examples=75, deadline=None)
def test_every_genome_is_a_strategy_that_comes_back(one: Any) -> None:
    space, genome = one
    strategy = space.decode(genome)
    assert strategy.calls == CALLS[strategy.scheduler, strategy.steps]
    again = space.decode(space.encode(strategy))
    assert again.digest == strategy.digest
    read = parse(dump(strategy))
    assert read.digest == strategy.digest
    assert space.decode(space.encode(read)).digest == strategy.digest
    assert strategy.canonical().digest == Strategy.read(strategy.to_json()).canonical().digest
    assert set(strategy.methods) <= set(space.methods)
    assert describe.summary(strategy)
    assert not describe.differences(strategy, read)
    other = strategy.resample(calls=9, steps=9, scheduler="DDIMScheduler")
    assert other.calls == 9
    assert parse(dump(other)).digest == other.digest


@pytest.mark.parametrize("family", FAMILIES)
def test_the_neutral_genome_is_the_unaccelerated_strategy(family: str) -> None:
    for methods in (of_family(family), *([name] for name in of_family(family))):
        space = space_of(family, methods)
        assert space.decode((0,) * len(space.sizes)).methods == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_method_can_act(family: str) -> None:
    space = space_of(family, of_family(family))
    for number, gene in enumerate(space.call_genes):
        for index in range(1, len(gene.choices)):
            for name in gene.methods(index):
                row = [0] * len(space.sizes)
                row[1] = len(STEPS) - 1
                row[space.global_count + number :: space.genes_per_slot] = [index] * space.slots
                for place, one in enumerate(space.global_genes):
                    if name in one.choices:
                        row[2 + place] = one.choices.index(name)
                if name not in space.decode(row).methods:
                    assert gene.name in {"deepcache.order", "deltacache.order", "fora.order"}


def test_methods_that_cannot_act_together_share_a_gene() -> None:
    space = space_of("unet", ["deepcache", "dato", "tome", "catome", "tgate"])
    assert [gene.name for gene in space.call_genes] == [
        "deepcache.depth",
        "deepcache.order",
        "tokens",
    ]
    assert [gene.name for gene in space.global_genes] == [
        f"tgate.{knob}" for knob in ("gate", "self_interval", "cross_interval", "late_interval")
    ]
    acts = [{f"{m}.{k}": v for m, k, v in act} for act in space.call_genes[2].choices]
    assert acts[0] == {}
    assert {"dato.ratio": 0.3} in acts
    assert {"dato.ratio": 0.7} in acts
    assert {"tome.ratio": 0.25} in acts
    assert {"catome.threshold": 0.6, "catome.checkpoints": True} in acts
    narrow = space_of("dit", ["cat", "atedm", "toca", "fora"])
    assert [gene.name for gene in narrow.global_genes] == ["narrowing"]
    assert narrow.global_genes[0].choices == ("cat", "atedm", "toca")


def test_a_composed_space_stays_what_it_was() -> None:
    """What a run writes down is the space itself, whatever methods declare later."""
    methods = ["dato", "catome", "tgate"]
    asked = {"schedulers": ["DDIMScheduler"], "steps": [4, 7], "methods": methods}
    kept = compose.resolved(asked, "unet")
    assert "methods" not in kept
    assert kept["composed"] == methods
    assert compose.resolved(kept, "unet") == kept
    calls = {("DDIMScheduler", n): n for n in (4, 7)}
    one, other = (with_calls(s, "unet", calls) for s in (asked, kept))
    assert (one.call_genes, one.global_genes, one.sizes) == (
        other.call_genes,
        other.global_genes,
        other.sizes,
    )
    assert one.methods == other.methods == ("dato", "catome", "tgate")


@pytest.mark.parametrize(
    ("family", "asked", "told"),
    [
        ("unet", {"methods": ["fora"]}, "fora is for dit, mmdit, transformer, not for family unet"),
        ("mmdit", {"methods": ["tgate"]}, "not for family mmdit"),
        ("unet", {"methods": ["catomee"]}, "'catomee' is unknown"),
        ("unet", {"methods": ["dato", "dato"]}, "method dato is given twice"),
        ("unet", {"methods": "dato"}, "must be a list of names"),
        ("unet", {"methods": []}, "must be a list of names"),
        ("dit", {"methods": ["tgate"], "without": ["tgate"]}, "does not go with this model"),
        ("unet", {"methods": ["dato"], "family": "dit"}, "the space is for family dit"),
        ("unet", {"methods": ["deepcache"], "knobs": {"deepcache.depth": ["full", 1]}},
         r"deepcache\.depth is given twice in the space, by its methods and under knobs"),
        ("unet", {"methods": ["dato"], "knobs": {"dato.ratio": [0.0, 0.5]}},
         r"dato\.ratio is given twice in the space, by dato\.ratio and by tokens"),
        ("unet", {"methods": ["dato"], "fixed": {"dato": {"ratio": 0.5}}},
         r"dato\.ratio is given twice in the space, by fixed and by tokens"),
        ("unet", {"knobs": {"catome.checkpoints": [0, 5]}}, "its choices are true"),
        ("unet", {"shared": {"t": [{"dato.ratio": 0.5}]}, "knobs": {}}, "the first one empty"),
        ("unet", {"shared": {"t": [{}, {"dato.ratio": 0.5}, {"dato.ratio": 0.5}]}}, "twice"),
        ("unet", {"shared": {"t": [{}, {"tgate.gate": 0.5}]}}, "holds for a whole generation"),
        ("unet", {"shared": {"t": [{}, {"dato.ratio": 0.9}]}}, "at most 0.75"),
        ("unet", {"shared": {"t": [{}, {"catome.threshold": 0.9, "catome.checkpoints": 3}]}},
         "is true"),
        ("unet", {"knobs": {"catome.treshold": [1.0, 0.5]}}, "not a knob of any method"),
    ],
)  # fmt: skip
def test_bad_spaces_are_refused_in_one_line(family: str, asked: Any, told: str) -> None:
    given = {"schedulers": ["DDIMScheduler"], "steps": [4]} | asked
    with pytest.raises(StrategyError, match=told) as caught:
        with_calls(given, family, {("DDIMScheduler", 4): 4})
    assert "\n" not in str(caught.value)


def test_checkpoints_are_a_knob_like_any_other() -> None:
    """A space file may search them by themselves."""
    asked = {
        "schedulers": ["DDIMScheduler"], "steps": [6],
        "knobs": {"catome.threshold": [1.0, 0.7, 0.9], "catome.checkpoints": [True, False]},
    }  # fmt: skip
    space = with_calls(asked, "unet", {("DDIMScheduler", 6): 6})
    made = space.decode((0, 0, 1, 0, 1, 1, 0, 0, 2, 1, 2, 0, 1, 1))
    knobs: Any = made.methods["catome"]
    # Pairs that are reused are those of the last call that found some, with its threshold.
    assert knobs.threshold == (0.7, 0.7, 1.0, 0.9, 0.9, 0.9)
    assert knobs.checkpoints == (0, 3, 4)
    assert space.decode(space.encode(made)).digest == made.digest


def pairs_at(strategy: Strategy) -> Any:
    """Checkpoints of its CA-ToMe."""
    knobs: Any = strategy.methods["catome"]
    return knobs.checkpoints


def test_checkpoints_that_a_search_finds_are_read_shown_and_resampled() -> None:
    """A child with CA-ToMe's checkpoints: file, resampling, differences, words and series."""
    space, rng = space_of("unet", ["catome", "deepcache"]), np.random.default_rng(2)
    found: dict[int, Strategy] = {}
    while len(found) < 20:
        one = switching.drawn(space, rng)
        child = space.decode(operators.child(space, one, one, rng))
        knobs: Any = child.methods.get("catome")
        if knobs is None or knobs.checkpoints == "all":
            continue
        found[len(found)] = child
        assert parse(dump(child)) == child
        longer = child.resample(calls=2 * child.calls, steps=2 * child.calls)
        assert pairs_at(longer) != "all"
        assert parse(dump(longer)) == longer
        words = {row["catome"]["pairs"] for row in describe.acts(child) if "catome" in row}
        assert "computed" in words
        assert any(series.name == "catome: checkpoints" for series in differing_knobs([child]))
    for former, other in itertools.pairwise(found.values()):
        different = pairs_at(former) != pairs_at(other)
        rows = " ".join(map(str, describe.differences(former, other)))
        assert different <= ("checkpoints" in rows)


@pytest.mark.parametrize("family", FAMILIES)
def test_children_turn_genes_of_methods_that_their_parents_use(family: str) -> None:
    space, rng = space_of(family, of_family(family)), np.random.default_rng(0)
    switched = 0
    for _ in range(120):
        one = switching.drawn(space, rng)
        before = switching.used_methods(space, one)
        assert len(before) <= switching.MAX_METHODS
        assert set(space.decode(one).methods) <= before
        child = operators.child(space, one, one, rng)
        after = switching.used_methods(space, child)
        assert len(after - before) <= 1
        switched += bool(after - before)
        assert space.decode(space.encode(space.decode(child))).digest == space.decode(child).digest
    assert 4 < switched < 40


@pytest.mark.parametrize("family", FAMILIES)
def test_a_method_is_switched_as_a_whole(family: str) -> None:
    space, rng = space_of(family, of_family(family)), np.random.default_rng(1)
    for method in space.methods:
        acted = 0
        for _ in range(30):
            row = list(switching.drawn(space, rng))
            switching.switch_on(space, row, method, rng)
            assert method in switching.used_methods(space, row)
            acted += method in space.decode(row).methods
            switching.switch_off(space, row, method)
            assert method not in switching.used_methods(space, row)
            assert method not in space.decode(row).methods
        assert acted > 10, method


def test_what_a_genome_uses_is_what_its_strategy_has() -> None:
    """Dead values apart, such as a share at the first calls."""
    space, rng = space_of("unet", of_family("unet")), np.random.default_rng(2)
    for _ in range(200):
        genome = switching.drawn(space, rng)
        assert set(space.decode(genome).methods) <= switching.used_methods(space, genome)


@given(composed())
@settings(max_examples=40, deadline=None)
def test_descriptions_tell_genomes_apart(one: Any) -> None:
    space, genome = one
    describe_ = StrategyFeatures(space)
    strategy, plain = space.decode(genome), space.decode((*genome[:2], *(0,) * (len(genome) - 2)))
    told, other = describe_.many([strategy, plain])
    assert np.isfinite(told).all()
    assert (strategy.digest == plain.digest) == bool(np.array_equal(told, other))


@given(composed())
@settings(max_examples=40, deadline=None)
def test_the_nearest_of_a_strategy_of_the_space_is_itself(one: Any) -> None:
    space, genome = one
    strategy = space.decode(genome)
    assert nearest_strategy(space, strategy).digest == strategy.digest


def test_the_space_command_shows_genes_choices_and_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["space", "--methods", "deepcache,catome,tgate"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("tgate.gate", "tokens", "catome.checkpoints", "10^"))
    assert cli.main(["space", "--methods", "fora,toca", "--model", "sd3-medium", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["family"] == "mmdit"
    assert found["methods"] == ["fora", "toca"]
    assert [gene["name"] for gene in found["per_call"]] == [
        "fora.attn", "fora.mlp", "fora.order", "share",
    ]  # fmt: skip
    for model, methods, told in (
        (
            "tiny-sd",
            "deepcache,fora",
            "fora is for dit, mmdit, transformer, not for family unet",
        ),
        ("dit-xl-2", "tgate", "method tgate does not go with this model"),
        ("tiny-sd", "dato,tome,dato", "method dato is given twice"),
        ("tiny-sd", "datto", "did you mean 'dato'"),
        ("tiny-sdd", "dato", "model 'tiny-sdd' is unknown"),
    ):
        assert cli.main(["space", "--methods", methods, "--model", model]) == 2
        errors = capsys.readouterr().err
        assert told in errors
        assert errors.count("\n") == 1
    for name in ("unet-all", "dit-all", "class-all", "mmdit-all", "unet-dato", "cat"):
        assert cli.main(["space", "--space", name]) == 0
