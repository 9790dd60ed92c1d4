"""What people do to a pipeline before and after a strategy is applied to it.

Whatever comes and goes, the image is that of a fresh pipeline in the same state with the same
strategy, or one StrategyError; two images each, as many hooks are put on anew after an image.
"""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from typing import Any

import diffusers
import pytest
import torch
from diffusers.hooks import FirstBlockCacheConfig
from diffusers.models.attention_processor import AttnProcessor

import accel
from strategies import Strategy, StrategyError, save
from tests.support.pipelines import unet_pipelines
from tests.support.pipelines.pipeline_states import (
    CHANGES,
    MODELS,
    Change,
    build,
    draw,
    strategies_of,
)


def changes() -> list[Any]:
    """All changes of all cases; by default each change on the UNet and on one transformer."""
    found = []
    for turn, change in enumerate(CHANGES):
        runs = {"sd1", MODELS[1 + turn % (len(MODELS) - 1)]}
        for model in MODELS:
            names = [*strategies_of(model)]
            for name in names:
                now = model in runs and name == names[turn % len(names)]
                marks = [] if now else [pytest.mark.slow]
                found.append(pytest.param((model, name), change, marks=marks))
    return found


@pytest.mark.parametrize(("case", "change"), changes())
def test_changes_before_and_after(case: tuple[str, str], change: Change) -> None:
    model, name = case
    pipe, first, strategy = build(model), build(model), strategies_of(model)[name]
    if not change.fits(pipe):
        pytest.skip(f"{change.name} does not exist on {model}")
    change.on(first)
    expected, unchanged = attempt(lambda: applied(first, strategy)), fresh(model, name)
    accel.apply(pipe, strategy)
    assert torch.equal(draw(pipe), unchanged)
    change.on(pipe)
    for _ in range(2):
        same(attempt(lambda: draw(pipe)), expected)
    if change.off is not None:
        change.off(pipe)
        for _ in range(2):
            assert torch.equal(draw(pipe), unchanged)
    elif isinstance(expected, torch.Tensor):
        accel.remove(pipe)
        bare = build(model)
        change.on(bare)
        assert torch.equal(draw(pipe), draw(bare))


@functools.cache
def fresh(model: str, name: str) -> torch.Tensor:
    """The image of a pipeline to which nothing was done."""
    pipe = build(model)
    accel.apply(pipe, strategies_of(model)[name])
    return draw(pipe)


def applied(pipe: Any, strategy: Strategy) -> torch.Tensor:
    """The second of two images, which must be equal."""
    accel.apply(pipe, strategy)
    first = draw(pipe)
    assert torch.equal(draw(pipe), first)
    return first


def attempt(draws: Callable[[], torch.Tensor]) -> torch.Tensor | str:
    """An image, or what the error says."""
    try:
        return draws()
    except StrategyError as error:
        return str(error)


def same(one: torch.Tensor | str, other: torch.Tensor | str) -> None:
    if isinstance(other, str):
        assert isinstance(one, str), f"an image where this was expected: {other}"
    else:
        assert not isinstance(one, str), one
        assert torch.equal(one, other)


def test_another_network_or_solver_is_noticed() -> None:
    pipe, strategy = build("sd1"), strategies_of("sd1")["deepcache"]
    plain, own = draw(pipe), pipe.scheduler
    accel.apply(pipe, strategy)
    wanted = draw(pipe)
    before, pipe.unet = pipe.unet, build("sd1").unet
    assert torch.equal(draw(pipe), wanted)
    assert "forward" not in vars(before)
    pipe.scheduler = diffusers.EulerDiscreteScheduler.from_config(own.config)
    with pytest.raises(StrategyError, match="now has EulerDiscreteScheduler"):
        draw(pipe)
    pipe.scheduler = own
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)


def test_an_exchanged_solver_goes_back_whatever_network_there_is() -> None:
    pipe = build("sd1")
    own = pipe.scheduler
    fast = unet_pipelines.strategy({"deepcache": {"depth": 1}}, 6, 6, "DPMSolverMultistepScheduler")
    accel.apply(pipe, fast, set_scheduler=True)
    pipe.unet = build("sd1").unet
    draw(pipe)
    accel.remove(pipe)
    assert pipe.scheduler is own
    assert "maybe_free_model_hooks" not in vars(pipe)
    assert "progress_bar" not in vars(pipe)


def test_nothing_holds_the_weights_after_remove() -> None:
    pipe = build("sd1")
    accel.apply(pipe, strategies_of("sd1")["deepcache+dato"])
    draw(pipe)
    accel.remove(pipe)
    weight = weakref.ref(pipe.unet.conv_in.weight)
    gc.collect()
    gc.disable()
    try:
        del pipe
        assert weight() is None
    finally:
        gc.enable()


def test_a_strategy_by_path_or_preset(tmp_path: Any) -> None:
    pipe, strategy = build("sd1"), strategies_of("sd1")["deepcache"]
    save(strategy, tmp_path / "fast.json")
    accel.apply(pipe, strategy)
    wanted = draw(pipe)
    accel.apply(pipe, str(tmp_path / "fast.json"))
    assert torch.equal(draw(pipe), wanted)
    with pytest.raises(StrategyError, match="no such"):
        accel.apply(pipe, "deepcache-m3")


def test_panorama_reuses_within_each_of_its_views() -> None:
    base = build("sd1")
    parts = {k: v for k, v in base.components.items() if k != "image_encoder"}
    pipe = diffusers.StableDiffusionPanoramaPipeline(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)

    def wide() -> torch.Tensor:
        noise = torch.Generator().manual_seed(0)
        return pipe(
            "a large red circle", height=32, width=64, num_inference_steps=6, generator=noise,
            output_type="latent", view_batch_size=1,
        ).images  # fmt: skip

    plain = wide()
    accel.apply(pipe, strategies_of("sd1")["neutral"])
    assert torch.equal(wide(), plain)
    accel.apply(pipe, strategies_of("sd1")["deepcache"])
    fast = wide()
    depths = {r.call: set() for r in accel.stats(pipe)}  # type: ignore[var-annotated]
    for record in accel.stats(pipe):
        depths[record.call].add(record.depth)
    assert depths[0] == {"full"}
    assert depths[1] == {1}
    assert torch.equal(wide(), fast)
    assert not torch.equal(fast, plain)


def test_the_cache_of_diffusers_beside_a_strategy() -> None:
    strategy = strategies_of("flux")["fora"]
    first, pipe = build("flux"), build("flux")
    first.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.5))
    wanted = applied(first, strategy)
    accel.apply(pipe, strategy)
    alone = draw(pipe)
    pipe.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.5))
    assert torch.equal(draw(pipe), wanted)
    assert torch.equal(draw(pipe), wanted)
    pipe.transformer.disable_cache()
    assert torch.equal(draw(pipe), alone)


@pytest.mark.parametrize(
    "model", ["dit", *(pytest.param(one, marks=pytest.mark.slow) for one in ("sd1", "flux"))]
)
def test_the_whole_network_compiles_without_a_break(model: str) -> None:
    strategy = strategies_of(model)["deepcache" if model == "sd1" else "fora"]
    pipe = build(model)
    accel.apply(pipe, strategy)
    wanted = draw(pipe)
    part = "unet" if model == "sd1" else "transformer"
    network = getattr(pipe, part)
    torch._dynamo.reset()
    setattr(pipe, part, torch.compile(network, backend="eager", fullgraph=True))
    torch.testing.assert_close(draw(pipe), wanted, rtol=1e-4, atol=1e-4)
    setattr(pipe, part, network)
    assert torch.equal(draw(pipe), wanted)
    network.compile(backend="eager", fullgraph=True)
    torch.testing.assert_close(draw(pipe), wanted, rtol=1e-4, atol=1e-4)
    accel.remove(pipe)


def test_processors_set_after_a_strategy() -> None:
    strategy = strategies_of("sd1")["deepcache+dato"]
    first, pipe = build("sd1"), build("sd1")
    first.unet.set_attn_processor(AttnProcessor())
    wanted = applied(first, strategy)
    accel.apply(pipe, strategy)
    draw(pipe)
    pipe.unet.set_attn_processor(AttnProcessor())
    assert torch.equal(draw(pipe), wanted)
