"""Every law is checked by default for every method alone on every family that it works on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from accel.families import FAMILIES
from strategies import registered_methods
from tests.support.pipelines import method_cases, transformer_pipelines
from tests.support.pipelines.law_cases import methods_of

LAWS = range(1, 10)
HERE = Path(__file__).parent
PLACES = [HERE, HERE.parent / "methods", HERE.parent / "stacks"]


class Collected:
    """Keeps the tests that a run of pytest would run."""

    items: tuple[Any, ...] = ()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = tuple(session.items)


@pytest.fixture(scope="module")
def found() -> Mapping[tuple[int, str], set[tuple[str, ...]]]:
    """Of each law and family the methods of its tests, as a run without options collects them."""
    seen = Collected()
    quiet = ["--collect-only", "-qq", "-p", "no:cacheprovider"]
    assert pytest.main([*quiet, *map(str, PLACES)], plugins=[seen]) == 0
    return methods_of(seen.items)


def test_every_law_meets_every_method_on_every_family(
    found: dict[tuple[int, str], set[tuple[str, ...]]],
) -> None:
    works = [(family, n) for n, knobs in registered_methods().items() for family in knobs.families]
    assert {family for family, _ in works} == {one.name for one in FAMILIES}
    missing = [
        f"law {law}, {method} on {family}"
        for law in LAWS
        for family, method in works
        if (method,) not in found.get((law, family), set())
    ]
    assert missing == []


def test_every_joint_use_meets_some_law(
    found: dict[tuple[int, str], set[tuple[str, ...]]],
) -> None:
    met = {(family, methods) for (_, family), uses in found.items() for methods in uses}
    assert {("unet", tuple(one)) for one in method_cases.JOINT.values()} <= met
    transformers = {methods for family, methods in met if family in ("dit", "mmdit")}
    assert {tuple(one) for one in transformer_pipelines.JOINT.values()} <= transformers


def test_a_law_without_a_method_is_noticed() -> None:
    class Item:
        def __init__(self, *marks: Any) -> None:
            self.marks = marks

        def iter_markers(self, name: str) -> list[Any]:
            return [one.mark for one in self.marks if one.mark.name == name]

    one = Item(pytest.mark.law(3), pytest.mark.case("unet", ("tome",)))
    assert methods_of([one, Item(pytest.mark.law(4))]) == {(3, "unet"): {("tome",)}}
