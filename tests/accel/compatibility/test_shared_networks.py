"""Pipelines, threads and loops that share one network."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline

import accel
from strategies import StrategyError
from tests.support.pipelines import unet_pipelines
from tests.support.pipelines.pipeline_states import (
    build,
    draw,
    strategies_of,
)


def test_copies_run_their_own_weights_without_a_strategy() -> None:
    pipe, strategy = build("sd1"), strategies_of("sd1")["deepcache+dato"]
    plain = draw(pipe)
    accel.apply(pipe, strategy)
    fast = draw(pipe)
    for twin in (copy.deepcopy(pipe), pickle.loads(pickle.dumps(pipe))):
        assert torch.equal(draw(twin), plain)
        with torch.no_grad():
            twin.unet.conv_out.weight.mul_(0.5)
        assert not torch.equal(draw(twin), plain)
        accel.remove(twin)
        accel.apply(twin, strategy)
        assert [record.depth for record in records(twin)] == [r.depth for r in records(pipe)]
    assert torch.equal(draw(pipe), fast)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)


def records(pipe: Any) -> list[accel.CallRecord]:
    draw(pipe)
    return accel.stats(pipe)


def test_a_copied_scheduler_steps_itself() -> None:
    pipe, other = build("sd1"), build("sd1")
    plain = draw(other)
    accel.apply(pipe, strategies_of("sd1")["deepcache+dato"])
    draw(pipe)
    other.scheduler = copy.deepcopy(pipe.scheduler)
    assert torch.equal(draw(other), plain)
    accel.remove(pipe)
    assert torch.equal(draw(other), plain)


def test_pipelines_that_share_a_network_have_strategies_of_their_own() -> None:
    alone, image = build("sd1"), unet_pipelines.build("sd1", "img2img")
    plain, plain_image = draw(alone), unet_pipelines.draw(image)
    accel.apply(alone, strategies_of("sd1")["deepcache+dato"])
    accel.apply(image, strategies_of("sd1")["tgate"])
    wanted, wanted_image = draw(alone), unet_pipelines.draw(image)
    one = build("sd1")
    other = StableDiffusionImg2ImgPipeline.from_pipe(one)
    other.set_progress_bar_config(disable=True)
    accel.apply(one, strategies_of("sd1")["deepcache+dato"])
    assert torch.equal(unet_pipelines.draw(other), plain_image)
    accel.apply(other, strategies_of("sd1")["tgate"])
    for _ in range(2):
        assert torch.equal(draw(one), wanted)
        assert torch.equal(unet_pipelines.draw(other), wanted_image)
    accel.remove(one)
    assert torch.equal(draw(one), plain)
    assert torch.equal(unet_pipelines.draw(other), wanted_image)
    del other
    gc.collect()
    assert "forward" not in vars(one.unet)


def test_a_light_pipeline_for_each_request() -> None:
    base = build("sd1")
    strategy = strategies_of("sd1")["deepcache+dato"]
    plain = draw(base)
    accel.apply(base, strategy)
    wanted = draw(base)
    for _ in range(2):
        request = type(base).from_pipe(
            base, scheduler=copy.deepcopy(base.scheduler), requires_safety_checker=False
        )
        request.set_progress_bar_config(disable=True)
        assert torch.equal(draw(request), plain)
        accel.apply(request, strategy)
        assert torch.equal(draw(request), wanted)
        assert torch.equal(draw(base), wanted)


def test_two_threads_on_one_network() -> None:
    one = build("sd1")
    other = type(one).from_pipe(
        one, scheduler=copy.deepcopy(one.scheduler), requires_safety_checker=False
    )
    other.set_progress_bar_config(disable=True)
    plain = draw(other)
    accel.apply(one, strategies_of("sd1")["deepcache+dato"])
    wanted = draw(one)
    found: dict[str, list[torch.Tensor]] = {"one": [], "other": []}
    threads = [
        threading.Thread(target=lambda p=p, n=n: found[n].extend(draw(p) for _ in range(3)))
        for n, p in (("one", one), ("other", other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(image, wanted) for image in found["one"])
    assert all(torch.equal(image, plain) for image in found["other"])


def test_loops_of_ones_own_on_a_shared_network() -> None:
    one, other = build("sd1"), build("sd1")
    other.unet, other.scheduler = one.unet, copy.deepcopy(one.scheduler)
    alone = run(one)
    accel.apply(one, strategies_of("sd1")["deepcache"])
    fast = run(one)
    assert not torch.equal(fast, alone)
    accel.apply(other, strategies_of("sd1")["neutral"])
    assert torch.equal(run(one), fast)
    assert torch.equal(run(other), alone)
    with pytest.raises(StrategyError, match="2 pipelines with a strategy share"):
        one.unet(torch.zeros(1, 4, 16, 16), 1, torch.zeros(1, 4, 64))


@torch.no_grad()
def run(pipe: Any, stop: int | None = None, seed: int = 0, fresh: bool = True) -> Any:
    """A loop of one's own, with guidance as one doubled batch."""
    both = torch.cat(pipe.encode_prompt("a large red circle", "cpu", 1, True)[::-1])
    if fresh:
        pipe.scheduler.set_timesteps(6)
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(seed))
    for call, t in enumerate(pipe.scheduler.timesteps):
        if call == stop:
            return None
        halves = pipe.unet(torch.cat([latents] * 2), t, encoder_hidden_states=both).sample
        one, two = halves.chunk(2)
        latents = pipe.scheduler.step(one + 7.5 * (two - one), t, latents).prev_sample
    return latents


@pytest.mark.parametrize("stop", [1, 3])
def test_a_loop_that_stopped_starts_again_on_the_same_schedule(stop: int) -> None:
    pipe = build("sd1")
    accel.apply(pipe, strategies_of("sd1")["deepcache"])
    wanted = run(pipe)
    run(pipe, stop=stop, seed=7, fresh=False)
    assert torch.equal(run(pipe, fresh=False), wanted)
