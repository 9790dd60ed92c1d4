"""What a strategy does, in words: summaries, spans of calls, differences."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import Strategy, describe


def made(methods: dict[str, Any], calls: int = 6, **fields: Any) -> Strategy:
    given = {"family": "unet", "scheduler": "DDIMScheduler", "steps": calls, "calls": calls}
    return Strategy.create(**(given | {"methods": methods} | fields))


@st.composite
def any_strategy(draw: st.DrawFn, calls: int | None = None) -> Strategy:
    """Every method, alone or with caching, over a few calls."""
    calls = calls or draw(st.integers(1, 8))
    numbers = st.sampled_from([0.0, 0.25, 0.5, 0.75])
    events = st.sets(st.integers(0, calls - 1), max_size=4).map(sorted)
    column = st.lists(numbers, min_size=calls, max_size=calls)
    depth = st.lists(st.sampled_from(["full", 0, 1, 3]), min_size=calls, max_size=calls)
    order = st.lists(st.integers(0, 2), min_size=calls, max_size=calls)
    gate = st.none() | st.integers(1, calls - 1) if calls > 1 else st.none()
    parts = {
        "tome": st.fixed_dictionaries({"ratio": column, "stride": st.integers(2, 3)}),
        "dato": st.fixed_dictionaries({"ratio": column, "seed": st.integers(0, 2)}),
        "catome": st.fixed_dictionaries({"threshold": column, "checkpoints": events}),
        "tgate": st.fixed_dictionaries({"gate": gate, "self_interval": st.integers(1, 3)}),
        "blockcache": st.fixed_dictionaries(
            {"refresh": st.dictionaries(st.sampled_from(["down.0", "up.1"]), events)}
        ),
    }
    name = draw(st.sampled_from(["", *parts]))
    methods = {name: draw(parts[name])} if name else {}
    if draw(st.booleans()):
        methods["deepcache"] = {"depth": draw(depth), "order": draw(order)}
    return made(methods, calls)


def test_summaries() -> None:
    def of(methods: dict[str, Any], calls: int = 6) -> list[str]:
        return describe.summary(made(methods, calls))

    depth = ["full", 1, 1, "full", 1, 0]
    assert of({"deepcache": {"depth": depth}}) == ["deepcache at 4 of 6 calls: depth 1 (3), 0 (1)"]
    assert of({"tome": {"ratio": [0.5, 0, 0, 0, 0, 0.5]}}) == ["tome at 2 of 6 calls: ratio 0.5"]
    many = of({"tome": {"ratio": [0.1, 0.2, 0.3, 0.4, 0.5, 0]}})
    assert many == ["tome at 5 of 6 calls: ratio 0.1 to 0.5 (mean 0.3)"]
    kept = of({"catome": {"threshold": 0.7, "checkpoints": [3]}})
    assert kept == ["catome at 6 of 6 calls: threshold 0.7, pairs reused (4), computed (2)"]
    gate = of({"tgate": {"gate": 4}})
    assert gate == ["tgate at 2 of 6 calls: cross, single, gate 4"]
    blocks = of({"blockcache": {"refresh": {"up.1": [0, 5]}}})
    assert blocks == ["blockcache at 4 of 6 calls: reuse up.1"]
    assert of({}) == of({"tome": {"ratio": 0}}) == ["unaccelerated"]


@settings(deadline=None)
@given(any_strategy())
def test_spans_cover_every_call_once(one: Strategy) -> None:
    spans = describe.spans(one)
    assert [call for s in spans for call in range(s.first, s.last + 1)] == list(range(one.calls))
    assert all(a.acts != b.acts for a, b in pairwise(spans))
    rows = [s.acts for s in spans for _ in range(s.first, s.last + 1)]
    assert [bool(kind) for kind in one.kinds()] == [bool(row) for row in rows]


@settings(deadline=None)
@given(st.sets(st.integers(0, 60)).map(sorted))
def test_ranges_can_be_read_back(calls: list[int]) -> None:
    back: list[int] = []
    for part in describe.ranges(calls).replace("none", "").split(", "):
        first, _, last = part.partition("-")
        back += range(int(first), int(last or first) + 1) if part else []
    assert back == calls


@settings(deadline=None)
@given(any_strategy())
def test_a_strategy_does_not_differ_from_itself(one: Strategy) -> None:
    assert describe.differences(one, one) == []
    assert [row for row in describe.differences(one, one.canonical()) if row[0] != "name"] == []


@settings(deadline=None)
@given(st.data(), st.integers(1, 8))
def test_differences_are_found_exactly_where_digests_differ(data: st.DataObject, n: int) -> None:
    one, other = data.draw(any_strategy(n)), data.draw(any_strategy(n))
    rows = describe.differences(one, other)
    assert bool(rows) == (one.digest != other.digest)
    assert sorted((what, b, a) for what, a, b in rows) == sorted(describe.differences(other, one))
    assert all(a != b for _, a, b in rows)
