"""Former names of public things: they mean the present ones, and say so once each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

import strategies
from strategies import Knobs, SearchSpace
from strategies.genomes.genes import Gene
from strategies.knobs import FORMER
from strategies.plugins.former_names import FormerName, takes_former

NOW = r"\.{} is now .*\.{}; the next release takes the new name alone"


@takes_former(doubled="guided")
@dataclass(frozen=True)
class Record:
    name: str
    guided: bool = False

    doubled = FormerName("guided")


def test_an_argument_and_an_attribute_are_taken_under_their_former_names() -> None:
    with pytest.warns(DeprecationWarning, match=NOW.format("doubled", "guided")) as said:
        found = Record("a", doubled=True)  # type: ignore[call-arg]
    assert found == Record("a", guided=True)
    assert said[0].filename == __file__
    with pytest.warns(DeprecationWarning, match=NOW.format("doubled", "guided")) as said:
        assert found.doubled is True
    assert said[0].filename == __file__


def test_one_argument_under_both_names_is_refused() -> None:
    with pytest.raises(TypeError, match="guided"):
        Record("a", guided=False, doubled=True)  # type: ignore[call-arg]


def test_the_registry_of_methods_has_its_former_name() -> None:
    with pytest.warns(DeprecationWarning, match=NOW.format("known", "registered_methods")):
        assert strategies.known is strategies.registered_methods
    assert "known" not in strategies.__all__
    with pytest.raises(AttributeError, match="unheard"):
        strategies.unheard  # noqa: B018


@pytest.mark.parametrize("old", FORMER)
def test_a_method_may_declare_under_former_names(old: str) -> None:
    value: Any = {"acts": ({"ratio": 0.5},), "narrows": True, "places": {"at": 1}}.get(old, ("at",))
    with pytest.warns(DeprecationWarning, match=NOW.format(old, FORMER[old])) as said:
        made = type("Made", (Knobs,), {"__annotations__": {old: ClassVar[Any]}, old: value})
    assert len(said) == 1
    assert getattr(made, FORMER[old]) == value


def test_a_space_has_its_former_attributes() -> None:
    gene = Gene("deepcache", "depth", ("full", 0))
    space = SearchSpace("unet", ("DDIMScheduler",), (4,), {("DDIMScheduler", 4): 4}, [gene])
    pairs = {
        "genes": "call_genes",
        "whole": "global_genes",
        "head": "global_count",
        "width": "genes_per_slot",
    }
    for old, new in pairs.items():
        with pytest.warns(DeprecationWarning, match=NOW.format(old, new)):
            assert getattr(space, old) == getattr(space, new)
