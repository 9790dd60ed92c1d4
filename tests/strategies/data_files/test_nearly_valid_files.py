"""Files near a valid one load or are refused; schedules are carried as by trying all."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from strategies import describe
from strategies.schedules import nearest, remap_events
from tests.support.heavy_files import BASE, full
from tests.support.strategy_texts import loaded, work

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**9, 2**63, 10**40, -1, 1e308, math.inf, math.nan, "\ud800", "\x1b[2J"])
    | st.floats()
    | st.text(max_size=8)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
EXAMPLES = [
    BASE,
    full(4, tome={"ratio": 0.5, "stride": 2}, tgate={"gate": 2}),
    full(4, blockcache={"refresh": {"a": [0, 2]}}, catome={"threshold": 0.9, "checkpoints": [1]}),
    full(4) | {"family": "dit", "methods": {"fora": {"attn": [True, False, True, [True, False]]}}},
    full(4) | {"family": "mmdit", "methods": {"cat": {"alpha": 0.5}, "fora": {"mlp": False}}},
    BASE | {"scores": {"fd": 1.5, "intervals": {"fd": [1, 0, 2]}}, "provenance": {"model": "m"}},
]


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    return [here, *(place for key, item in items for place in places(item, (*here, key)))]


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = changed(value[place[0]], place[1:], new)
    return copy


@st.composite
def near_valid(draw: st.DrawFn) -> str:
    """A valid file with a few of its values replaced, and perhaps some of its text."""
    data: Any = draw(st.sampled_from(EXAMPLES))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(places(data)))
        data = changed(data, place, draw(VALUES))
    text = json.dumps(data, ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 4)) == 0:
        start = draw(st.integers(0, len(text)))
        part = draw(st.text(st.sampled_from('[]{}",:0e9\\u'), max_size=6))
        text = text[:start] + part + text[start + draw(st.integers(0, 6)) :]
    return text


@settings(deadline=None, max_examples=300)
@given(near_valid(), st.integers(3, 60))  # CAT Pruning needs three calls.
def test_files_near_a_valid_one_load_or_are_refused(text: str, calls: int) -> None:
    def all_of() -> None:
        one = loaded(text)
        if one is None:
            return
        one.resample(calls=calls)
        assert describe.differences(one, strategies.parse(strategies.dump(one))) == []

    assert work(all_of) < 40_000 + 60 * len(text) + 400 * calls


@given(st.lists(st.integers(0, 40), unique=True).map(sorted), st.integers(0, 40))
def test_the_nearest_call_is_the_one_found_by_trying_all(calls: list[int], call: int) -> None:
    expected = min(calls, key=lambda one: (abs(one - call), one), default=None)
    assert nearest(calls, call) == expected


@given(st.lists(st.integers(0, 20), unique=True).map(sorted), st.lists(st.integers(0, 20)))
def test_events_are_carried_as_by_trying_all(calls: list[int], indices: list[int]) -> None:
    indices.sort()
    found, before = [], -1
    for new, old in enumerate(indices):
        if any(before < call <= old for call in calls):
            found.append(new)
        before = old
    assert remap_events(calls, indices) == tuple(found)
