"""Presets as `python -m strategies list` shows them: families of rules, and names that are none."""

from __future__ import annotations

import json

import strategies
from strategies import rules
from tests.strategies.test_cli import fails, shows, shows_json


def test_list_names_every_family_of_a_rule_and_filters_by_one() -> None:
    facts = json.loads(shows_json("list"))
    assert {one["name"] for one in facts if "mmdit" in one["families"]} >= {"fora-n3"}
    for one in facts:
        rule = rules.find_rule(one["source"])
        if rule is None:
            assert one["families"] == [one["family"]]
            continue
        for family in one["families"]:
            assert rule.fitted(family, "DDIMScheduler", 20).family == family
    text = " ".join(shows("list", "deltacache-n3", "guidance-interval").split())
    for family in strategies.registered_methods()["deltacache"].families:
        assert family in text[: text.index("guidance-interval")]
    for family in ("unet", "dit"):
        mine = [one["source"] for one in facts if family in one["families"]]
        listed = json.loads(shows_json("list", "--family", family))
        assert [one["source"] for one in listed] == mine
        assert 0 < len(mine) < len(facts)
    assert "family is 'sdxl'; known ones are unet, dit" in fails("list", "--family", "sdxl")


def test_a_method_in_place_of_a_preset_is_told_with_its_presets() -> None:
    shown = fails("show", "deepcache")
    assert "deepcache: this is a method; did you mean 'deepcache-n3'?" in shown
    assert "deepcache-n2" in shown
    for name in strategies.registered_methods():
        shown = fails("show", name)
        assert f"{name}: this is a method" in shown
        for preset in {*rules.rule_names(), *strategies.presets()}:
            if preset.startswith(f"{name}-") and "+" not in preset:
                assert preset in shown
    assert "tome is a method" in fails("show", "deepcache-n3+tome")
