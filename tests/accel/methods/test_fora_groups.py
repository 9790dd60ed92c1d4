"""FORA by groups of blocks: files, spaces and resampling, and which blocks really run."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import accel
import strategies
from strategies import Gene, SearchSpace, Strategy, StrategyError, describe
from strategies.methods.fora import COMPONENTS, FORA
from tests.accel.methods.test_fora import MODELS, strategy
from tests.support.pipelines.transformer_pipelines import build, draw
from tests.support.pipelines.unet_pipelines import STEPS


@st.composite
def any_groups(draw: st.DrawFn) -> Strategy:
    """FORA over a few calls, with values for all blocks beside values for each of G groups."""
    calls, groups = draw(st.integers(1, 9)), draw(st.integers(1, 5))
    one = st.booleans() | st.lists(st.booleans(), min_size=groups, max_size=groups)
    column = st.lists(one, min_size=calls, max_size=calls)
    order = st.lists(st.integers(0, 2), min_size=calls, max_size=calls)
    return strategy({name: draw(column) for name in COMPONENTS} | {"order": draw(order)}, calls)


def knobs(one: Strategy) -> FORA:
    found = one.methods["fora"]
    assert isinstance(found, FORA)
    return found


@settings(max_examples=200, deadline=None)
@given(any_groups())
def test_files_and_canonical_form(one: Strategy) -> None:
    again = strategies.parse(strategies.dump(one))
    assert again == one
    assert again.digest == one.digest
    form = one.canonical()
    assert form.canonical() == form
    assert (form.digest, form.kinds()) == (one.digest, one.kinds())
    assert describe.differences(one, form) == []
    for call, act in enumerate(describe.acts(one)):
        assert bool(act) == bool(one.kinds()[call])
        assert call > 0 or not act
    for name in COMPONENTS:
        for value in getattr(knobs(one), name):
            assert isinstance(value, bool) or (len(value) == knobs(one).groups > len({*value}) - 1)


@settings(max_examples=200, deadline=None)
@given(any_groups(), st.integers(1, 8))
def test_equal_groups_are_all_blocks(one: Strategy, groups: int) -> None:
    """Written out for every block, the same strategy computes the same blocks at every call."""
    blocks = knobs(one).groups * groups
    for name in COMPONENTS:
        rows = [knobs(one).computed(name, block, blocks) for block in range(blocks)]
        values: list[Any] = list(zip(*rows, strict=True))
        spread = FORA(**dict[str, Any]({name: values}))
        assert [spread.computed(name, block, blocks) for block in range(blocks)] == rows
        whole = [value[0] if len(set(value)) == 1 else value for value in values]
        assert spread == FORA(**dict[str, Any]({name: whole}))
        assert strategy(spread, one.calls).digest == strategy({name: whole}, one.calls).digest


@settings(max_examples=200, deadline=None)
@given(any_groups())
def test_order_is_limited_by_group(one: Strategy) -> None:
    """The canonical order is what the group with most computed calls can use."""
    form = knobs(one).canonical(one.calls, None)
    groups = form.groups
    for call, order in enumerate(form.order):
        seen = [0]
        for name in COMPONENTS:
            for group in range(groups):
                row = form.computed(name, group, groups)
                seen += [] if row[call] else [sum(row[:call]) - 1]
        assert order == min(knobs(one).order[call], max(seen))


@settings(max_examples=200, deadline=None)
@given(any_groups(), st.integers(1, 40))
def test_resampling_keeps_shares(one: Strategy, calls: int) -> None:
    assert one.resample(calls=one.calls).digest == one.digest
    other = one.resample(calls=calls)
    old, new = (knobs(each).canonical(each.calls, None) for each in (one, other))
    for name in COMPONENTS:
        for group in range(old.groups):
            before = old.computed(name, group, old.groups)
            after = new.computed(name, min(group, new.groups - 1), new.groups)
            if len(set(before)) == 1:
                assert set(after) == {True}
            elif new.groups == old.groups and before.count(True) > 2:
                share = after.count(True) / calls - before.count(True) / one.calls
                assert abs(share) <= 1.5 / min(calls, one.calls)


@pytest.mark.parametrize("interval", [2, 3, 5, 7])
@pytest.mark.parametrize("calls", [10, 20, 25, 50, 100, 250])
def test_resampling_keeps_the_published_rule(interval: int, calls: int) -> None:
    """FORA at 250 calls becomes FORA at any other number, last call full, same interval."""
    one = strategy(FORA.published(250, interval, 1), 250)
    assert knobs(one.resample(calls=calls)) == FORA.published(calls, interval, 1)
    full = [True, *[False] * 248, True]
    mixed = strategy({"attn": FORA.published(250, interval).attn, "mlp": full}, 250)
    after = knobs(mixed.resample(calls=calls))
    assert after.attn == FORA.published(calls, interval).attn
    assert after.mlp[0]
    assert after.mlp.count(True) <= 2


def test_orders_go_with_the_calls_that_reuse() -> None:
    one = strategy({"attn": [True, True, False, False], "order": [0, 0, 1, 1]}, 4)
    other = knobs(one.resample(calls=8))
    assert [o for a, o in zip(other.attn, other.order, strict=True) if not a] == [1] * 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"attn": [[True, False], [True, False, True]]}, r"attn\[1\] has 3 groups.*\[0\] has 2"),
        ({"attn": [True, [True, False]], "mlp": [[True] * 3, True]}, r"mlp\[0\] has 3 groups"),
        ({"attn": [True, []]}, r"attn\[1\] is \[\]; give true, false, or a list"),
        ({"cross": [True, [True, 1]]}, r"cross\[1\] is \[True, 1\]"),
        ({"mlp": [True, None]}, r"mlp\[1\] is None"),
        ({"mlp": [True, [[True]]]}, r"mlp\[1\] is \[\[True\]\]"),
        ({"attn": [True, False, True]}, "3 values, but the strategy makes 2 calls"),
    ],
)
def test_bad_lists_are_refused(given: Any, message: str) -> None:
    with pytest.raises(StrategyError, match=message) as caught:
        strategy(given, 2)
    assert "\n" not in str(caught.value)


def test_what_is_shown() -> None:
    mixed = [True, False, True]
    one = strategy({"attn": [True, mixed, mixed, False], "mlp": [True, True, mixed, mixed]}, 4)
    assert describe.summary(one) == [
        "fora at 3 of 4 calls: attn [true, false, true] (2), false (1), mlp [true, false, true] (2)"
    ]
    other = strategy({"attn": [True, mixed, mixed, False]}, 4)
    assert describe.differences(one, other) == [
        (
            "fora at 2",
            "attn [true, false, true], mlp [true, false, true]",
            "attn [true, false, true]",
        ),
        ("fora at 3", "attn false, mlp [true, false, true]", "attn false"),
    ]
    assert len(set(one.kinds())) == 4
    same = strategy({"attn": [mixed] * 3}, 3)
    assert json.loads(strategies.dump(same))["methods"]["fora"]["attn"] == [mixed] * 3
    (attn, *_) = describe.method(FORA)["knobs"]
    assert attn["values"] == "true or false or [true or false, ...]"


SOLVERS, NUMBERS = ("DDIMScheduler",), (2, 5)
CHOICES = (True, False, [True, False, False], [False, False, True])
SPACE = SearchSpace(
    "dit",
    SOLVERS,
    NUMBERS,
    {("DDIMScheduler", n): n for n in NUMBERS},
    (Gene("fora", "attn", CHOICES), Gene("fora", "mlp", CHOICES), Gene("fora", "order", (0, 1, 2))),
)


@settings(max_examples=200, deadline=None)
@given(st.tuples(*(st.integers(0, size - 1) for size in SPACE.sizes)))
def test_genomes(genome: tuple[int, ...]) -> None:
    one = SPACE.decode(genome)
    assert SPACE.decode(SPACE.encode(one)).digest == one.digest


def space(*genes: Gene) -> SearchSpace:
    return SearchSpace("dit", SOLVERS, (5,), {("DDIMScheduler", 5): 5}, genes)


def test_spaces_are_checked_before_the_search() -> None:
    with pytest.raises(StrategyError, match=r"mlp\[1\] has 2 groups.*attn\[1\] has 3"):
        space(
            Gene("fora", "attn", (True, [True, False, False])),
            Gene("fora", "mlp", (True, [True, False])),
        )
    with pytest.raises(StrategyError, match=r"choice \[True, True\], which means the same"):
        space(Gene("fora", "attn", (True, False, [True, True])))


def test_the_space_of_groups() -> None:
    """A file's lists become choices; uniform FORA is among the seeds of the same space."""
    from accel.models.config import read_model
    from accel.models.loading import load_pipeline
    from search.costs.probe_strategies import probes
    from search.initial.baselines import known_strategies
    from search.spaces import make_space
    from strategies.data_files.configs import read_config

    config = read_model("tiny-pixart")
    pipe = load_pipeline(config)
    found = make_space(read_config("spaces", "dit-groups"), "dit", pipe.scheduler)
    assert found.call_genes[0].choices[2] == (True, False, False)
    assert len({kind for one in probes(found, 0) for kind in one.kinds()}) == 5 * 5 * 2
    uniform = [one for _, one in known_strategies(found, config.scheduler, 25) if one.methods]
    assert any(knobs(one).attn == FORA.published(25, 2).attn for one in uniform if one.steps == 25)
    plain = make_space(read_config("spaces", "dit"), "dit", pipe.scheduler)
    assert {one.digest for _, one in known_strategies(plain, config.scheduler, 25)} == {
        one.digest for _, one in known_strategies(found, config.scheduler, 25)
    }
    grouped = strategy({"attn": [True, *[[True, False, False]] * 24]}, 25)
    with accel.accelerated(pipe, grouped):
        blocks = len(pipe.transformer.transformer_blocks)
        pipe(
            **(config.arguments | {"prompt": "a ring", "num_inference_steps": 25, "width": 32}),
            height=32,
            output_type="latent",
        )
        reused = accel.stats(pipe)[1].reused
    assert len(reused) == sum(block * 3 // blocks > 0 for block in range(blocks))


GROUPED: dict[str, Any] = {
    "attn": [True, [True, False, False], [False, True, False], False, True, [False, False, True]],
    "cross": [True, True, [False, True, True], [False, True, False], True, False],
    "mlp": [True, [False, True, False], True, [True, False, True], False, [False, True, True]],
}


@pytest.mark.parametrize("model", MODELS)
def test_equals_a_direct_wrapping_of_each_block(model: str) -> None:
    """Bit-equal, and what the lists say for a block is what ran in it."""
    pipe = build(model)
    names = {"attn1": "attn", "attn2": "cross", "ff": "mlp"}
    call, ran = -1, []

    def count(*_: Any) -> None:
        nonlocal call
        call += 1

    def wrap(forward: Any, component: str, group: int) -> Any:
        kept: list[Any] = []

        def run(*args: Any, **kwargs: Any) -> Any:
            value = GROUPED[component][call]
            if value if isinstance(value, bool) else value[group]:
                kept[:] = [forward(*args, **kwargs)]
                ran.append((call, group, component))
            return kept[0]

        return run

    hook = pipe.transformer.register_forward_pre_hook(count)
    for index, block in enumerate(pipe.transformer.transformer_blocks):
        for name, component in names.items():
            module = getattr(block, name)
            if module is not None:
                module.forward = wrap(module.forward, component, index)
    theirs = draw(pipe)
    hook.remove()

    pipe = build(model)
    accel.apply(pipe, strategy(GROUPED))
    assert torch.equal(draw(pipe), theirs)
    components = 3 if model == "pixart" else 2
    for record in accel.stats(pipe):
        mine = {
            (record.call, block, names[name])
            for block in range(3)
            for name in list(names)
            if f"transformer_blocks.{block}.{name}" not in record.reused
            and (model == "pixart" or name != "attn2")
        }
        assert mine == {entry for entry in ran if entry[0] == record.call}
        assert len(mine) + len(record.reused) == 3 * components


def test_groups_of_several_blocks_and_too_many() -> None:
    assert [FORA(attn=((True, False),)).computed("attn", i, 5)[0] for i in range(5)] == [
        True, True, True, False, False,
    ]  # fmt: skip
    pipe = build("dit")
    plain = draw(pipe)
    four = strategy({"attn": [True] + [[True, True, True, False]] * (STEPS - 1)})
    with pytest.raises(StrategyError, match=r"4 groups of blocks, but the model has 3 blocks"):
        accel.apply(pipe, four)
    assert torch.equal(draw(pipe), plain)
