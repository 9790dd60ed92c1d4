"""FORA on DiT and PixArt: the outputs of a direct wrapping of the same modules, and what runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import accel
from strategies import Strategy, StrategyError
from strategies.methods.fora import FORA
from tests.support.pipelines.transformer_pipelines import STRONG as CASES
from tests.support.pipelines.transformer_pipelines import build, draw
from tests.support.pipelines.transformer_pipelines import strategy as made
from tests.support.pipelines.unet_pipelines import STEPS

MODELS = ("dit", "pixart")
STRONG = CASES["fora"]["fora"]


def strategy(knobs: Any, calls: int = STEPS) -> Strategy:
    return made("dit", {"fora": knobs}, calls)


@contextlib.contextmanager
def wrapped(pipe: Any, full: list[bool]) -> Iterator[None]:
    """The rule of the published code, put directly around `attn1`, `attn2` and `ff`."""
    call = -1

    def count(*_: Any) -> None:
        nonlocal call
        call += 1

    def wrap(forward: Callable[..., Any]) -> Callable[..., Any]:
        kept: list[Any] = []

        def run(*args: Any, **kwargs: Any) -> Any:
            if full[call]:
                kept[:] = [forward(*args, **kwargs)]
            return kept[0]

        return run

    hook = pipe.transformer.register_forward_pre_hook(count)
    chosen = [
        module
        for block in pipe.transformer.transformer_blocks
        for module in (block.attn1, block.attn2, block.ff)
        if module is not None
    ]
    for module in chosen:
        module.forward = wrap(module.forward)
    try:
        yield
    finally:
        hook.remove()
        for module in chosen:
            del module.forward


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("interval", [2, 3, 5, 7])
def test_equals_a_direct_wrapping(model: str, interval: int) -> None:
    """Bit-equal, with the published positions: index 19 and multiples, counted down from 19."""
    pipe, calls = build(model), 20
    full = [index == calls - 1 or index % interval == 0 for index in reversed(range(calls))]
    with wrapped(pipe, full):
        theirs = draw(pipe, calls)
    knobs = FORA.published(calls, interval)
    assert list(knobs.attn) == full
    accel.apply(pipe, strategy(knobs, calls))
    assert torch.equal(draw(pipe, calls), theirs)
    assert not torch.equal(draw(build(model), calls), theirs)


def test_published_positions() -> None:
    def indices(interval: int) -> list[int]:
        return [19 - c for c, full in enumerate(FORA.published(20, interval).attn) if full]

    assert indices(2) == [19, *range(18, -1, -2)]
    assert indices(3) == [19, *range(18, -1, -3)]
    assert indices(7) == [19, 14, 7, 0]
    with pytest.raises(StrategyError, match="interval is 0"):
        FORA.published(20, 0)


@pytest.mark.parametrize("model", MODELS)
def test_law_5_what_is_reused_does_not_run(model: str) -> None:
    pipe = build(model)
    ran: dict[str, list[int]] = {"attn1": [], "attn2": [], "ff": []}
    block = pipe.transformer.transformer_blocks[1]
    inner = {"attn1": block.attn1.to_q, "ff": block.ff.net[0]}
    if block.attn2 is not None:
        inner["attn2"] = block.attn2.to_q
    for name, module in inner.items():
        module.register_forward_pre_hook(
            lambda *_, n=name: ran[n].append(accel.stats(pipe)[-1].call)
        )
    accel.apply(pipe, strategy(STRONG))
    with accel.measuring(pipe, macs=True):
        draw(pipe)
    places = {"attn1": "attn", "attn2": "cross", "ff": "mlp"}
    for name in inner:
        assert ran[name] == [i for i, full in enumerate(STRONG[places[name]]) if full]
    macs = [record.macs or 0 for record in accel.stats(pipe)]
    assert macs[5] <= macs[1] < macs[0]
    assert len(accel.stats(pipe)[5].reused) == 3 * len(inner)


@pytest.mark.parametrize("model", MODELS)
def test_law_8_only_what_is_read_is_kept(model: str) -> None:
    from accel.caching.cached_output import CachedOutput

    pipe = build(model)
    accel.apply(pipe, strategy(STRONG))
    sampler = accel.registry.applied_strategy(pipe)
    assert sampler is not None
    places = [one for one in sampler._clock.listeners if isinstance(one, CachedOutput)]
    attention = next(place for place in places if place.name == "transformer_blocks.0.attn1")
    alive: list[int] = []
    step = pipe.scheduler.step

    def look(*args: Any, **kwargs: Any) -> Any:
        alive.append(sum(len(history) for history in attention._kept.values()))
        return step(*args, **kwargs)

    pipe.scheduler.step = look
    draw(pipe)
    # Call 5 extrapolates over calls 0, 3 and 4; nothing is left after it.
    assert alive == [1, 1, 1, 2, 3, 0]
    assert all(place._kept == {} for place in places)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2)), min_size=1, max_size=9))
def test_canonical_form_is_stable(rows: list[tuple[bool, bool, int]]) -> None:
    attn, mlp, order = zip(*rows, strict=True)
    knobs = {"attn": attn, "mlp": mlp, "order": order}
    one = strategy(knobs, len(rows))
    assert one.canonical().canonical() == one.canonical()
    assert one.canonical().digest == one.digest


@pytest.mark.parametrize("order", [1, 2])
def test_order_extrapolates(order: int) -> None:
    """The outputs used lie on the polynomial through those computed."""
    pipe = build("pixart")
    outputs: list[torch.Tensor] = []
    block = pipe.transformer.transformer_blocks[0]
    full = [True, True, True, False, False, True]
    accel.apply(pipe, strategy({"attn": full, "order": order}))
    inner = block.attn1.forward

    def spy(*args: Any, **kwargs: Any) -> Any:
        outputs.append(inner(*args, **kwargs))
        return outputs[-1]

    block.attn1.forward = spy
    draw(pipe)
    block.attn1.forward = inner
    a, b, c, one, two, _ = outputs
    if order == 1:
        torch.testing.assert_close(one, 2 * c - b, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(two, 3 * c - 2 * b, rtol=1e-4, atol=1e-4)
    else:
        torch.testing.assert_close(one, 3 * c - 3 * b + a, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(two, 6 * c - 8 * b + 3 * a, rtol=1e-4, atol=1e-4)


def test_families_are_told_apart() -> None:
    with pytest.raises(
        StrategyError, match=r"fora works on dit, mmdit, transformer, not on family 'unet'"
    ):
        Strategy.create(
            family="unet", scheduler="-", steps=1, calls=1, methods={"fora": {"attn": True}}
        )
    unet = Strategy.create(family="unet", scheduler="DDIMScheduler", steps=6, calls=6)
    with pytest.raises(StrategyError, match="is of family 'dit'"):
        accel.apply(build("dit"), unet)


def test_the_bundled_model_is_searchable() -> None:
    """Its config, space and seeds go together, FORA's uniform schedules among them."""
    from accel.models.config import read_model
    from accel.models.loading import load_pipeline
    from evaluate import Evaluator
    from search.costs.probe_strategies import probes
    from search.initial.baselines import known_strategies
    from search.spaces import make_space
    from strategies.data_files.configs import read_config

    config = read_model("tiny-pixart")
    pipe = load_pipeline(config)
    space = make_space(read_config("spaces", "dit-cat"), "dit", pipe.scheduler)
    # Every choice of three components and four shares; the order of extrapolation takes no time.
    assert len({kind for one in probes(space, 0) for kind in one.kinds()}) == 8 * 4
    found = [one for origin, one in known_strategies(space, config.scheduler, config.steps)]
    uniform = [one for one in found if one.steps == 25 and "fora" in one.methods]
    assert [sum(dict[str, Any](one.methods)["fora"].attn) for one in uniform] == [13, 9, 6, 4]
    evaluator = Evaluator(config, pipe=pipe)
    side = evaluator.generate("images", uniform[0], evaluator.prompts["search"].first(2))
    assert [image.shape for image in side.images()] == [(32, 32, 3)] * 2


def test_block_caching_is_refused_by_name() -> None:
    with pytest.raises(StrategyError, match=r"family 'dit'.*no Block Caching"):
        accel.change_curves(build("dit"), [])
