"""Guidance per call: reused differences, the work that is saved, and loops of one's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import accel
from strategies import StrategyError
from tests.support.guided_pipelines import REUSE, build, draw, drawn, strategy
from tests.support.pipelines import transformer_pipelines, unet_pipelines
from tests.support.pipelines.unet_pipelines import STEPS


def test_a_run_that_starts_where_a_difference_would_be_reused() -> None:
    """It has none, so its first call is full, and keeps one."""
    pipe = unet_pipelines.build("sd1", "img2img")
    accel.apply(pipe, strategy("sd1", mode=REUSE))
    draw(pipe, strength=0.5)
    found = [(record.call, record.guidance) for record in accel.stats(pipe)]
    assert found == [(3, "full"), (4, "full"), (5, "reuse")]


def gated(pipe: Any, gate: int, predict: Any, latents: torch.Tensor, guidance: float) -> Any:
    """CFG gating as SGLang and FastVideo describe it: from the gate on the last difference of the
    two predictions is added to the conditional one.
    """
    difference = None
    for index, timestep in enumerate(pipe.scheduler.timesteps):
        conditional = predict(latents, timestep, True)
        if index < gate:
            unconditional = predict(latents, timestep, False)
            difference = conditional - unconditional
        else:
            unconditional = conditional - difference
        guided = unconditional + guidance * (conditional - unconditional)
        latents = pipe.scheduler.step(guided, timestep, latents).prev_sample
    return latents


@torch.no_grad()
@pytest.mark.parametrize("gate", [1, 3, 5])
def test_reuse_is_cfg_gating(gate: int) -> None:
    pipe = build("sd1")
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    modes = ["full"] * gate + ["reuse"] * (STEPS - gate)
    mine = drawn(pipe, strategy("sd1", mode=modes), guidance=7.5, latents=noise.clone())
    texts = pipe.encode_prompt("a large red circle", "cpu", 1, True)

    def predict(latents: torch.Tensor, timestep: Any, prompted: bool) -> torch.Tensor:
        text = texts[0] if prompted else texts[1]
        sample: torch.Tensor = pipe.unet(latents, timestep, encoder_hidden_states=text).sample
        return sample

    pipe.scheduler.set_timesteps(STEPS)
    theirs = gated(pipe, gate, predict, noise, 7.5)
    torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-7)
    assert not torch.allclose(mine, draw(pipe, guidance=7.5, latents=noise), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_order_1_goes_on_linearly() -> None:
    """At call 4 of differences kept at calls 0 and 2."""
    from accel.methods.guidance import Guide

    pipe = build("sd1")
    modes = ["full", "off", "full", "off", "reuse", "off"]
    kept: list[Any] = []
    made = Guide._imagined

    def watched(self: Any, conditional: torch.Tensor) -> Any:
        before, found = list(self._kept), made(self, conditional)
        kept.append((self.clock.call, before, found))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Guide, "_imagined", watched)
        drawn(pipe, strategy("sd1", mode=modes, order=1))
    call, before, (unconditional, conditional) = next(one for one in kept if one[0] == 4)
    (first, one), (second, other) = before
    assert (call, first, second) == (4, 0, 2)
    torch.testing.assert_close(conditional - unconditional, other + (other - one))


@pytest.mark.parametrize("model", ["sd1", "sdxl", "sd3", "pixart", "dit"])
def test_an_off_call_does_half_of_the_work(model: str) -> None:
    pipe = (
        unet_pipelines.build(model)
        if model in unet_pipelines.MODELS
        else transformer_pipelines.build(model)
    )
    accel.apply(pipe, strategy(model, mode=["full", "off", "full", "reuse", "off", "full"]))
    with accel.measuring(pipe, macs=True):
        draw(pipe)
    macs = [record.macs or 0 for record in accel.stats(pipe)]
    assert max(macs[1], macs[3], macs[4]) <= 0.55 * min(macs[0], macs[2], macs[5])


class Own:
    """Loops of one's own over Stable Diffusion's network."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self.texts = pipe.encode_prompt("a large red circle", "cpu", 1, True)
        pipe.scheduler.set_timesteps(STEPS)
        shape = (1, 4, 16, 16)
        self.latents = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()

    def predict(self, timestep: Any, prompted: bool) -> torch.Tensor:
        text = self.texts[0] if prompted else self.texts[1]
        made: torch.Tensor = self.pipe.unet(self.latents, timestep, text).sample
        return made

    def step(self, guided: torch.Tensor, timestep: Any) -> None:
        self.latents = self.pipe.scheduler.step(guided, timestep, self.latents).prev_sample


@torch.no_grad()
def test_a_loop_that_copies_the_first_pass_is_refused() -> None:
    pipe = build("sd1")
    accel.apply(pipe, strategy("sd1", mode=["full", *["off"] * 5]))
    own = Own(pipe)
    with pytest.raises(StrategyError, match="copied it before; make the pass with the prompt"):
        for timestep in pipe.scheduler.timesteps:
            first = own.predict(timestep, False).float()
            own.step(first.double() + own.predict(timestep, True), timestep)


@torch.no_grad()
def test_a_loop_that_stops_guiding_is_told() -> None:
    """Its single pass is taken for the first of two, which must not go unnoticed."""
    pipe = build("sd1")
    accel.apply(pipe, strategy("sd1", mode=["full", "full", *["off"] * 4]))
    own = Own(pipe)
    with pytest.raises(StrategyError, match="left a first pass without its prediction"):
        for call, timestep in enumerate(pipe.scheduler.timesteps):
            made = own.predict(timestep, call > 1)
            if call < 2:
                made = made + 4 * (own.predict(timestep, True) - made)
            own.step(made, timestep)


@torch.no_grad()
def test_the_first_call_of_a_loop_of_ones_own_is_full() -> None:
    pipe = build("sd1")
    accel.apply(pipe, strategy("sd1", mode="off"))
    own = Own(pipe)
    for timestep in pipe.scheduler.timesteps:
        made = own.predict(timestep, False), own.predict(timestep, True)
        own.step(made[0] + 4 * (made[1] - made[0]), timestep)
    rows = [(record.call, record.running) for record in accel.stats(pipe)]
    assert rows == [(0, 1), (0, 1)] + [(c, r) for c in range(1, STEPS) for r in (0, 1)]
