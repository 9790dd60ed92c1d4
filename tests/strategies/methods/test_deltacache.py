"""Knobs of `deltacache` as data: normal form, other calls, kinds of calls, genes of a space."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accel.caching.residuals import needs
from strategies import Strategy, StrategyError, schedules
from strategies.genomes import compose
from strategies.methods.deltacache import DeltaCache
from strategies.step_masks import NAMES, published_mask


def made(calls: int = 6, family: str = "mmdit", **methods: Any) -> Strategy:
    return Strategy.create(
        family=family,
        scheduler="FlowMatchEulerDiscreteScheduler",
        steps=calls,
        calls=calls,
        methods=methods,
    )


def test_dead_values_are_neutral() -> None:
    knobs = {"depth": [0, 1, "skip", "full", 0, 1], "tail": [1, 0, 2, 1, 0, 1], "order": 2}
    normal = made(deltacache=knobs).canonical()
    found = normal.methods["deltacache"]
    assert found == DeltaCache(
        depth=("full", 1, "skip", "full", 0, 1), tail=(0, 0, 0, 0, 0, 1), order=(0, 0, 1, 0, 1, 1)
    )
    assert normal.canonical().digest == made(deltacache=knobs).digest
    assert "deltacache" not in made(deltacache={"depth": "full", "order": 1}).canonical().methods


def test_kinds_of_calls_say_what_takes_time() -> None:
    one = made(deltacache={"depth": ["full", 1, 1, "full", "skip", 0], "order": [0, 0, 1, 0, 1, 0]})
    kinds = one.kinds()
    assert kinds[0] == kinds[3] == ""
    assert kinds[1] == kinds[2] == "deltacache.depth=1"
    assert kinds[4:] == ("deltacache.depth=skip", "deltacache.depth=0")


def test_values_that_later_calls_need() -> None:
    keys: list[Any] = ["full", (1, 0), "skip", "full", (0, 0), "skip"]
    assert needs(keys, (0, 0, 1, 0, 1, 0)) == [
        {(1, 0): 1, (0, 0): 1, "skip": 1},
        {"skip": 2, (0, 0): 1},
        {(0, 0): 1},
        {(0, 0): 2},
        {"skip": 1},
        {},
    ]


def test_blocks_that_were_left_out_catch_up() -> None:
    """What `fora` would have computed at call 2 is computed at call 3, the next full one."""
    fora = {"attn": [True, False, True, False, False, True]}
    depth = ["full", "full", 0, "full", "full", "full"]
    alive = made(fora=fora, deltacache={"depth": depth}).canonical()
    attn: Any = alive.methods["fora"]
    assert attn.attn == (True, False, True, True, False, True)
    assert alive.canonical().digest == alive.digest


def test_other_calls_keep_their_share() -> None:
    one = made(12, deltacache=DeltaCache.uniform(12, 3, 1, 1).compact())
    found: Any = one.resample(calls=24, steps=24).methods["deltacache"]
    assert found.depth.count("full") == 8
    assert {d for d in found.depth if d != "full"} == {1}
    assert {t for d, t in zip(found.depth, found.tail, strict=True) if d != "full"} == {1}


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"depth": -1}, r"depth\[0\] is -1"),
        ({"depth": "half"}, "depth"),
        ({"depth": 0, "tail": -1}, "tail"),
        ({"depth": 0, "order": 3}, "order"),
    ],
)
def test_wrong_knobs_are_refused(knobs: dict[str, Any], said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        made(deltacache=knobs)


def test_a_space_of_it() -> None:
    settings = {"schedulers": ["FlowMatchEulerDiscreteScheduler"], "steps": [6]}
    found = compose.resolved(settings | {"methods": ["deltacache"]}, "transformer")
    assert found["knobs"]["deltacache.depth"] == ["full", 0, 1, 2, "skip"]
    other = compose.fitted(found, "DDPMScheduler", 6)
    assert other["schedulers"] == ["DDPMScheduler"]


def test_a_search_starts_from_masks_and_between_them() -> None:
    """The masks of cache-dit at any number of calls, and as many full calls between two of them."""
    starts = DeltaCache.starts(25)
    full = [one.depth.count("full") for one in starts]
    assert [one.depth for one in starts[:4]] == [
        tuple("full" if one else 1 for one in published_mask(name, 25)) for name in NAMES
    ]
    assert full[4:7] == sorted(full[4:7], reverse=True)
    assert full[3] < full[6] < full[4] < full[0]
    assert starts[-1] == DeltaCache.uniform(25, 3)
    assert all(one.depth[0] == "full" for one in starts)
    assert len(DeltaCache.starts(5)) == 6  # There is no mask of five steps.
    for calls in range(1, 40):
        for one in DeltaCache.starts(calls):
            made(calls, deltacache=one)


@given(st.data())
def test_a_schedule_between_two(data: st.DataObject) -> None:
    calls = data.draw(st.integers(1, 60))
    later = st.sets(st.integers(0, calls - 1), max_size=calls).map(lambda one: sorted({0, *one}))
    mild, extreme = data.draw(later), data.draw(later)
    share = data.draw(st.floats(0, 1))
    found = schedules.between(mild, extreme, calls, share)
    assert found[0] == 0
    assert found == sorted(set(found))
    assert found[-1] < calls
    low, high = sorted((len(mild), len(extreme)))
    assert low <= len(found) <= high
    assert schedules.between(mild, extreme, calls, 0) == mild
    assert schedules.between(mild, extreme, calls, 1) == extreme
    assert schedules.between(mild, mild, calls, share) == mild
