"""Presets that are rules: the same as their published files, and for any other number of calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import strategies
from strategies import Strategy, StrategyError, rules
from strategies.rules import Rule
from strategies.solvers import calls_of, steps_of


def rule(name: str) -> Rule:
    found = rules.find_rule(name)
    assert found is not None, name
    return found


@pytest.mark.parametrize("name", strategies.presets())
def test_a_rule_gives_the_published_file_of_its_name(name: str) -> None:
    found = rules.find_rule(name)
    lists = name.startswith(("dato", "catome", "cat-"))
    assert (found is None) == lists
    if found is not None:
        made, published = found.published(), strategies.load(name)
        assert made.digest == published.digest
        assert (made.family, made.solver_text) == (published.family, published.solver_text)
        assert made.provenance == {"rule": name}


@pytest.mark.parametrize("name", rules.rule_names())
@pytest.mark.parametrize("calls", [8, 19, 28, 50])
def test_a_rule_fits_any_number_of_calls(name: str, calls: int) -> None:
    for family in ("unet", "mmdit"):
        if family in rule(name).parts[0][0].method.families:
            made = rule(name).fitted(family, "DDIMScheduler", calls)
            assert (made.calls, made.steps, made.family) == (calls, calls, family)
            assert made.canonical().methods


def test_values_that_no_file_has() -> None:
    depth: Any = rule("deepcache-n4").fitted("unet", "DDIMScheduler", 9).methods["deepcache"]
    assert [call for call, one in enumerate(depth.depth) if one == "full"] == [0, 4, 8]
    gate: Any = rule("tgate-0.4").fitted("unet", "DDIMScheduler", 25).methods["tgate"]
    assert gate.gate == 10
    both = rule("deepcache-n3+tgate-.5").fitted("unet", "PNDMScheduler", 11)
    assert (sorted(both.methods), both.steps) == (["deepcache", "tgate"], 10)
    assert strategies.load("tgate-0.4").steps == 25


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("deepcache-n3+deepcache-n5", "give each method once"),
        ("deepcache-n0", "interval is 0"),
        ("tome-0.9", r"tome: ratio.* at most 0.75"),
    ],
)
def test_values_that_are_refused(name: str, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        rule(name).fitted("unet", "DDIMScheduler", 10)


def test_a_rule_of_another_family_names_those_that_fit() -> None:
    with pytest.raises(StrategyError, match=r"family unet, but .* 'mmdit'; give one of fora-n2"):
        rule("deepcache-n3").fitted("mmdit", "DDIMScheduler", 10)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(StrategyError, match="did you mean 'deltacache-n3'"):
        strategies.load("detlacache-n3")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("deepcach-n3", r"^deepcach-n3: .*'deepcache-n3'\? python -m strategies list shows all$"),
        ("deepcache-n3+tgat-0.4", r"no such preset 'tgat-0.4'; did you mean 'tgate-0.4'\?"),
        ("dato-b1+tgate-0.4", "dato-b1 is a list of a paper's table; a plus joins rules only"),
        ("zzz", "no such preset; give one of adaptive-guidance-gate, .*, tome-0.7$"),
        ("runs/none", "^runs/none: no such file or folder$"),
        ("none.json", "^none.json: no such file or folder$"),
    ],
)
def test_a_wrong_name_says_what_is_wrong_in_it(name: str, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        strategies.load(name)


@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "HeunDiscreteScheduler", "PNDMScheduler"])
def test_steps_of_is_the_inverse_of_calls_of(scheduler: str) -> None:
    for steps in (1, 2, 25, 50):
        assert steps_of(scheduler, calls_of(scheduler, steps) or 0) == steps


def test_folders_stand_for_one_of_their_strategies(tmp_path: Path) -> None:
    one, other = (rule(name).published() for name in ("deepcache-n2", "deepcache-n5"))
    run, pulled = tmp_path / "run", tmp_path / "pulled"
    (run / "strategies").mkdir(parents=True)
    pulled.mkdir()
    strategies.save(one, run / "strategies" / "01-2.0x.json")
    strategies.save(one, pulled / "one.json")
    with pytest.raises(StrategyError, match="no knee yet; finish it by python -m search --resume"):
        strategies.load(run)
    strategies.save(other, run / "strategies" / "knee.json")
    assert strategies.load(run).digest == other.digest
    assert strategies.load(pulled).digest == one.digest
    strategies.save(other, pulled / "two.json")
    with pytest.raises(StrategyError, match=r"2 strategies; give one of them: one.json, two.json"):
        strategies.load(pulled)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StrategyError, match="a folder without strategies"):
        strategies.load(tmp_path / "empty")
    (tmp_path / "empty" / "model_index.json").write_text("{}")
    with pytest.raises(StrategyError, match="the folder of a pipeline, not of a strategy"):
        strategies.load(tmp_path / "empty")


def test_a_file_of_a_rule_is_a_strategy_like_any_other(tmp_path: Path) -> None:
    made = rule("fora-n3").fitted("mmdit", "FlowMatchEulerDiscreteScheduler", 20)
    strategies.save(made, tmp_path / "x.json")
    assert strategies.load(tmp_path / "x.json") == made
    assert isinstance(made, Strategy)
