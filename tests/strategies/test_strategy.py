"""Strategy records and files: round trips, refusals, resampling, identity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from strategies import Strategy, StrategyError
from tests.support.pipelines.unet_pipelines import strategy

DEPTHS = st.one_of(st.just("full"), st.integers(0, 12))
RATIOS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.75])


@st.composite
def any_strategy(draw: Any) -> Strategy:
    calls = draw(st.integers(1, 30))
    methods: dict[str, Any] = {}
    if draw(st.booleans()):
        methods["deepcache"] = {"depth": draw(st.lists(DEPTHS, min_size=calls, max_size=calls))}
    if draw(st.booleans()):
        ratios = draw(st.one_of(RATIOS, st.lists(RATIOS, min_size=calls, max_size=calls)))
        methods["tome"] = {"ratio": ratios, "levels": draw(st.integers(1, 3))}
    return strategy(methods, calls).model_copy(
        update={"name": draw(st.text(max_size=20)), "scores": {"fd": draw(st.floats(0, 1e6))}}
    )


@given(any_strategy())
def test_file_round_trip(one: Strategy) -> None:
    text = strategies.dump(one)
    assert strategies.parse(text) == one
    assert strategies.parse(text).digest == one.digest


@given(any_strategy())
def test_canonical_form_is_stable_and_means_the_same(one: Strategy) -> None:
    assert one.canonical().canonical() == one.canonical()
    assert one.canonical().digest == one.digest
    assert one.canonical().kinds() == one.kinds()


@given(any_strategy(), st.integers(1, 80))
def test_resample_covers_any_number_of_calls(one: Strategy, calls: int) -> None:
    other = one.resample(calls=calls + one.calls)
    assert other.calls == calls + one.calls
    back = other.resample(calls=one.calls).methods
    assert back.get("tome") == one.methods.get("tome")
    if "deepcache" in one.methods:
        shares = [depths(m).count("full") for m in (back, one.methods)]
        assert shares[0] == shares[1]
    assert one.resample(calls=one.calls).digest == one.digest


def depths(methods: Mapping[str, Any]) -> Any:
    return methods["deepcache"].depth


def ratios_of(one: Strategy) -> Any:
    methods: Mapping[str, Any] = one.methods
    return methods["tome"].ratio


def test_resample_maps_by_normalised_time() -> None:
    ratios = [0.0, 0.25, 0.5, 0.75]
    one = strategy({"deepcache": {"depth": ["full", 1, 2, 3]}, "tome": {"ratio": ratios}}, 4)
    assert ratios_of(one.resample(calls=8)) == tuple(r for r in ratios for _ in "ab")
    assert ratios_of(one.resample(calls=2)) == (0.25, 0.75)
    # A schedule keeps its share of full calls instead, evenly spread over the same time.
    longer = depths(one.resample(calls=8).methods)
    assert [call for call, depth in enumerate(longer) if depth == "full"] == [0, 4]
    assert (longer[1], longer[3], longer[-1]) == (1, 1, 3)
    assert depths(one.resample(calls=2).methods) == ("full", 3)
    pndm = one.resample(calls=51, steps=50, scheduler="PNDMScheduler")
    assert (pndm.calls, pndm.steps, pndm.scheduler) == (51, 50, "PNDMScheduler")


def test_resample_knows_how_many_calls_a_solver_makes() -> None:
    pndm = strategy({"tome": {"ratio": 0.5}}, 4).resample(steps=50, scheduler="PNDMScheduler")
    assert (pndm.calls, pndm.steps) == (51, 50)
    assert pndm.resample(steps=20, scheduler="DDIMScheduler").calls == 20
    assert pndm.resample(scheduler="HeunDiscreteScheduler").calls == 99
    heun = pndm.resample(scheduler="HeunDiscreteScheduler")
    assert heun.resample(steps=10).calls == 19
    with pytest.raises(StrategyError, match=r"'OwnScheduler'.*give calls as well"):
        pndm.resample(steps=20, scheduler="OwnScheduler")
    own = pndm.resample(calls=20, steps=20, scheduler="OwnScheduler")
    assert own.resample(steps=10).calls == 10


def test_what_means_the_same_has_one_digest() -> None:
    base = strategy({"deepcache": {"depth": ["full", 0, 1]}, "tome": {"ratio": [0.5, 0, 0]}}, 3)
    dead = strategy({"deepcache": {"depth": [3, 0, 1]}, "tome": {"ratio": [0.5, 0.7, 0]}}, 3)
    assert dead.digest == base.digest
    assert strategy({"tome": {"ratio": 0.0}}).digest == strategy({}).digest
    other = strategy({"deepcache": {"depth": ["full", 0, 2]}, "tome": {"ratio": [0.5, 0, 0]}}, 3)
    assert other.digest != base.digest


def test_a_changed_copy_has_its_own_digest() -> None:
    one = strategy({"tome": {"ratio": 0.5}})
    before = one.digest
    assert one.model_copy(update={"steps": 3}).digest != before
    assert one.model_copy(update={"name": "x"}).digest == before


def test_what_is_missing_is_named_whatever_the_methods() -> None:
    for field in ("family", "calls"):
        fields = {k: v for k, v in GOOD.items() if k != field}
        with pytest.raises(StrategyError, match=f"{field} is missing"):
            Strategy.create(**fields)


GOOD = json.loads(strategies.dump(strategy({"deepcache": {"depth": ["full", 1, 1, "full", 1, 0]}})))
REFUSED = [
    ({"schema": 2}, "schema is 2"),
    ({"schema": "x"}, "schema"),
    ({"family": "video"}, "family is 'video'"),
    ({"steps": 0}, "steps is 0"),
    ({"calls": -3}, "calls"),
    ({"calls": 7}, "6 values"),
    ({"calls": "6"}, "calls is '6'; it must be a whole number"),
    ({"calls": 6.0}, "calls is 6.0; it must be a whole number"),
    ({"family": None}, "family is None; it must be text"),
    ({"speed": 3}, "speed is an unknown field"),
    (
        {"methods": {"warp": {}}},
        "methods.warp is unknown; known methods are atedm, blockcache, cat",
    ),
    ({"methods": {"deepcache": {}}}, "methods.deepcache.depth is missing"),
    ({"methods": {"deepcache": {"depth": -1}}}, "depth[0] is -1"),
    ({"methods": {"deepcache": {"depth": 1.5}}}, "methods.deepcache.depth"),
    ({"methods": {"deepcache": {"depth": "all"}}}, "methods.deepcache.depth"),
    ({"methods": {"deepcache": {"depth": True}}}, "methods.deepcache.depth"),
    ({"methods": {"deepcache": [1]}}, "must be an object"),
    ({"methods": {"tome": {"ratio": 0.9}}}, "at most 0.75"),
    ({"methods": {"tome": {"ratio": 0.1, "speed": 1}}}, "methods.tome.speed is an unknown field"),
    ({"methods": {"tome": {"ratio": [0.1] * 5}}}, "5 values"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_bad_files_are_refused_with_the_field(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(StrategyError, match=r"bad\.json") as caught:
        strategies.load(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[1]", "JSON object"),
        ('{"family": "unet"}', "schema is missing"),
        ('{"schema": 1, "schema": 1}', "given twice"),
        ('{"schema": 1, "scores": {"fd": NaN}}', "NaN"),
        ("[" * 40_000, "deep within each other"),
    ],
)
def test_broken_text_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(StrategyError, match=message):
        strategies.load(path)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="no such file"):
        strategies.load(tmp_path / "none.json")
    with pytest.raises(StrategyError, match="a folder without strategies"):
        strategies.load(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StrategyError, match="not a text file"):
        strategies.load(tmp_path / "binary.json")
    with pytest.raises(StrategyError, match="cannot be written"):
        strategies.save(strategy({}), tmp_path / "no" / "where.json")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=20))
def test_no_json_value_crashes_the_reader(value: Any) -> None:
    for data in (value, GOOD | {"methods": value}, GOOD | {"calls": value}, GOOD | {"name": value}):
        assert read_or_refuse(json.dumps(data))


def read_or_refuse(text: str) -> bool:
    """Whether the reader gave a strategy or one line of complaint; anything else is a crash."""
    try:
        return isinstance(strategies.parse(text), Strategy)
    except StrategyError as error:
        return "\n" not in str(error)


def test_strategies_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        strategy({}).steps = 3
