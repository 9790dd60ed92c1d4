"""Guidance per call: what it equals, what it costs, and what it refuses."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from diffusers import (
    AutoPipelineForImage2Image,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPAGPipeline,
)

import accel
from accel.pipelines import guiding
from accel.pipelines.manners import MANNERS
from strategies import Strategy, StrategyError
from strategies.methods.guidance import Guidance
from tests.accel.methods.test_tgate_transformers import two_passes
from tests.support.pipelines import any_class, transformer_pipelines, unet_pipelines
from tests.support.pipelines.unet_pipelines import STEPS

MODELS = ("sd1", "sdxl", *transformer_pipelines.MODELS)
SLOW = [pytest.mark.slow]
REUSE = ["full", "full", "reuse", "reuse", "full", "reuse"]


def build(model: str) -> Any:
    """A pipeline in double precision, in which choices and chaos do not magnify rounding."""
    made = (
        unet_pipelines.build(model)
        if model in unet_pipelines.MODELS
        else transformer_pipelines.build(model)
    )
    return made.to(dtype=torch.float64)


def draw(pipe: Any, guidance: float = 4.0, **given: Any) -> torch.Tensor:
    if hasattr(pipe, "unet"):
        return unet_pipelines.draw(pipe, guidance_scale=guidance, **given)
    return transformer_pipelines.draw(pipe, guidance=guidance, **given)


def strategy(model: str, calls: int = STEPS, **knobs: Any) -> Strategy:
    methods = {"guidance": knobs}
    if model in unet_pipelines.MODELS:
        return unet_pipelines.strategy(methods, calls)
    return transformer_pipelines.strategy(model, methods, calls)


def drawn(pipe: Any, one: Strategy, **given: Any) -> torch.Tensor:
    with accel.accelerated(pipe, one):
        return draw(pipe, **given)


@pytest.mark.parametrize("model", MODELS)
def test_off_everywhere_is_no_guidance(model: str) -> None:
    """Bit for bit: the network sees the very batch that it sees without guidance."""
    pipe = build(model)
    off = strategy(model, mode="off", scale=3.0)
    given = {} if model in unet_pipelines.MODELS else {"batch": 2}
    assert torch.equal(drawn(pipe, off, **given), draw(pipe, guidance=1.0, **given))
    accel.apply(pipe, off)
    draw(pipe, **given)
    rows = [(record.guidance, record.running) for record in accel.stats(pipe)]
    count = given.get("batch", 1)
    passes = [count, 0] if model == "flux" else [count]
    assert rows == [("off", ran) for _ in range(STEPS) for ran in passes]


@pytest.mark.parametrize("model", MODELS)
def test_a_scale_is_another_guidance(model: str) -> None:
    pipe = build(model)
    mine = drawn(pipe, strategy(model, scale=0.6), guidance=4.0)
    torch.testing.assert_close(mine, draw(pipe, guidance=2.4), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(mine, draw(pipe, guidance=4.0), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("model", MODELS)
def test_full_everywhere_is_bit_equal(model: str) -> None:
    pipe = build(model)
    assert torch.equal(drawn(pipe, strategy(model, mode="full", order=1)), draw(pipe))


GIVEN: dict[str, dict[str, Any]] = {
    "a batch and a negative prompt": {
        "prompt": ["a ring", "a cyan square"],
        "negative_prompt": ["a cross", "blue"],
    },
    "images per prompt": {"num_images_per_prompt": 3},
    "another size": {"height": 24, "width": 40},
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize("model", ["sd1", pytest.param("sdxl", marks=SLOW)])
def test_whatever_the_call_asks_for(model: str, given: dict[str, Any]) -> None:
    pipe = build(model)
    off, unguided = strategy(model, mode="off"), draw(pipe, guidance=1.0, **given)
    assert torch.equal(drawn(pipe, off, **given), unguided)
    mine = drawn(pipe, strategy(model, scale=1.5), guidance=4.0, **given)
    torch.testing.assert_close(mine, draw(pipe, guidance=6.0, **given), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("model", ["sd1", pytest.param("sdxl", marks=SLOW)])
@pytest.mark.parametrize("scale", [0.6, 1.7])
def test_rescaled_guidance(model: str, scale: float) -> None:
    """`guidance_rescale` takes its measure from the conditional prediction, which stays itself."""
    pipe = build(model)
    mine = drawn(pipe, strategy(model, scale=scale), guidance=4.0, guidance_rescale=0.7)
    theirs = draw(pipe, guidance=4.0 * scale, guidance_rescale=0.7)
    torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(mine, draw(pipe, guidance=4.0 * scale), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("task", ["img2img", pytest.param("controlnet", marks=SLOW)])
def test_other_tasks(task: str) -> None:
    pipe = unet_pipelines.build("sd1", task).to(dtype=torch.float64)
    off = strategy("sd1", mode="off")
    assert torch.allclose(drawn(pipe, off), draw(pipe, guidance=1.0), rtol=1e-9, atol=1e-9)
    mine = drawn(pipe, strategy("sd1", scale=0.6), guidance=5.0)
    torch.testing.assert_close(mine, draw(pipe, guidance=3.0), rtol=1e-6, atol=1e-6)


CONTROLLED = {
    "StableDiffusionControlNetPipeline": "unet",
    "StableDiffusionXLControlNetPipeline": "unet",
    "StableDiffusion3ControlNetPipeline": "mmdit",
}


@pytest.mark.parametrize("name", CONTROLLED)
@pytest.mark.parametrize("mode", [["full", "off", "full", "off", "off", "full"], REUSE])
def test_a_controlnet_runs_for_the_half_that_runs(name: str, mode: list[str]) -> None:
    """Its other half costs nothing, and the images are those of a ControlNet that runs in full."""
    pipe = any_class.build(name).to(dtype=torch.float64)
    one = Strategy.create(
        family=CONTROLLED[name],
        scheduler=type(pipe.scheduler).__name__,
        steps=STEPS,
        calls=STEPS,
        methods={"guidance": {"mode": mode}},
    )
    rows: list[int] = []
    inside = next(pipe.controlnet.children())  # Under what `apply` replaces.
    seen = inside.register_forward_hook(lambda _, args, out: rows.append(len(args[0])))
    with accel.accelerated(pipe, one):
        mine = any_class.draw(name, pipe)
        any_class.draw(name, pipe)
    seen.remove()
    assert rows == 2 * [2 if kind == "full" else 1 for kind in mode]
    assert "forward" not in vars(pipe.controlnet)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accel.sampler.control_networks.attach", lambda *_: lambda: None)
        with accel.accelerated(pipe, one):
            whole = any_class.draw(name, pipe)
    torch.testing.assert_close(mine, whole, rtol=1e-9, atol=1e-9)


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


@pytest.mark.parametrize("name", [n for n in transformer_pipelines.ALL if n.startswith("guidance")])
def test_two_passes_of_a_transformer_are_its_doubled_batch(name: str) -> None:
    """What other methods keep is of a half, whether it is rows of a batch or a pass of its own."""
    pipe = build("pixart")
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    accel.apply(pipe, transformer_pipelines.strategy("pixart", transformer_pipelines.ALL[name]))
    one = draw(pipe, latents=noise)
    torch.testing.assert_close(two_passes(pipe, noise), one, rtol=1e-5, atol=1e-5)
    assert {record.running for record in accel.stats(pipe)} == {0, 1}


def test_a_pipeline_that_does_not_guide_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    pipe = build("sd1")
    plain = draw(pipe, guidance=1.0)
    with caplog.at_level(logging.WARNING, logger="accel"):
        for _ in range(2):
            mine = drawn(pipe, strategy("sd1", mode=REUSE, scale=0.5), guidance=1.0)
            assert torch.equal(mine, plain)
    said = [record.message for record in caplog.records if "does not guide" in record.message]
    assert len(said) == 1


def test_pipelines_that_guide_in_another_way_are_refused() -> None:
    pipe = unet_pipelines.build("sd1")
    off = strategy("sd1", mode="off")
    parts = pipe.components
    for kind in (StableDiffusionPAGPipeline, StableDiffusionInstructPix2PixPipeline):
        other = kind(**parts, requires_safety_checker=False)
        with pytest.raises(StrategyError, match=f"does not know how {kind.__name__} guides"):
            accel.apply(other, off)
        accel.apply(other, unet_pipelines.strategy({"deepcache": {"depth": 1}}))
        accel.remove(other)
    sd3 = transformer_pipelines.build("sd3")
    accel.apply(sd3, strategy("sd3", mode="off"))
    with pytest.raises(StrategyError, match="skip_guidance_layers"):
        draw(sd3, skip_guidance_layers=[1])


def test_the_tables_are_of_pipelines_that_there_are() -> None:
    import diffusers

    assert [name for name in MANNERS if not hasattr(diffusers, name)] == []


def test_a_class_of_ones_own_counts_as_the_one_whose_call_it_has() -> None:
    pipe = unet_pipelines.build("sd1")
    own = type("Mine", (type(pipe),), {})(**pipe.components, requires_safety_checker=False)
    guiding.check(own)
    other = type("Other", (type(pipe),), {"__call__": lambda self: None})
    with pytest.raises(StrategyError, match="does not know how Other guides"):
        guiding.check(other(**pipe.components, requires_safety_checker=False))


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"mode": ["full"] * 5}, r"methods\.guidance\.mode has 5 values.*makes 6 calls"),
        ({"scale": -0.5}, r"methods\.guidance\.scale\.0 is -0\.5: give at least 0"),
        ({"scale": float("nan")}, r"methods\.guidance\.scale"),
        ({"mode": "reuse"}, r'mode\[0\] is "reuse", but no call before it is "full"'),
        ({"mode": ["off", "reuse", *["full"] * 4]}, r'mode\[1\] is "reuse", but no call before'),
        ({"mode": "half"}, r"methods\.guidance\.mode\.0 is .half."),
        ({"order": 2}, r"methods\.guidance\.order\.0 is 2"),
        ({"early": -1.0}, r"methods\.guidance\.early"),
    ],
)
def test_bad_input_is_one_line(knobs: dict[str, Any], said: str) -> None:
    with pytest.raises(StrategyError, match=said) as caught:
        strategy("sd1", **knobs)
    assert "\n" not in str(caught.value)


def test_dead_values_are_neutral() -> None:
    one = strategy("sd1", mode=["off", "full", "off", "reuse", "full", "reuse"], scale=0.5, order=1)
    knobs = one.canonical().methods["guidance"]
    assert isinstance(knobs, Guidance)
    assert knobs.scale == (1.0, 0.5, 1.0, 0.5, 0.5, 0.5)
    assert knobs.order == (0, 0, 0, 0, 0, 1)
    thirds = strategy("sd1", early=0.5, late=2.0)
    assert thirds.digest == strategy("sd1", scale=[0.5, 0.5, 1.0, 1.0, 2.0, 2.0]).digest
    assert strategy("sd1", mode="full").digest == unet_pipelines.strategy({}).digest


def test_kept_values_of_a_half_that_sat_out_are_computed_again() -> None:
    """The rule of `strategies.halves`, in the normal form of each method that keeps something."""
    modes = ["full", "off", "off", "full", "off", "full"]

    def normal(family: str, **methods: Any) -> Any:
        made = Strategy.create(
            family=family, scheduler="-", steps=6, calls=6,
            methods=methods | {"guidance": {"mode": modes}},
        )  # fmt: skip
        assert made.canonical().canonical() == made.canonical()
        assert made.canonical().digest == made.digest
        return made.canonical().methods

    depths = normal("unet", deepcache={"depth": ["full", 1, "full", 1, 1, 0]})["deepcache"].depth
    assert depths == ("full", 1, "full", "full", 1, "full")  # 4 made a new prediction.
    attn = [True, False, True, False, False, False]
    fora = normal("dit", fora={"attn": attn})["fora"]
    assert fora.attn == (True, False, True, True, False, False)
    kept = normal("unet", blockcache={"refresh": {"a": [0, 2]}, "compute": attn})["blockcache"]
    assert kept.refresh == {"a": (0, 2, 3)}
    assert kept.compute == (True, False, True, True, False, False)
    pairs = normal("unet", catome={"threshold": 0.7, "checkpoints": [0, 4]})["catome"].checkpoints
    assert pairs == (0, 4, 5)
    toca = normal("dit", toca={"ratio": [1.0, 0.5, 1.0, 0.5, 0.5, 0.5]})["toca"]
    assert toca.ratio == (1.0, 0.5, 1.0, 1.0, 0.5, 0.5)
    cat = normal("dit", cat={"alpha": [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]})["cat"]
    assert cat.alpha == (1.0, 1.0, 1.0, 1.0, 0.5, 0.5)
    tgate = normal("unet", tgate={"self_interval": 4, "cross_interval": 4, "warmup": 0})["tgate"]
    assert tgate.also == (5,)


def test_t_gate_ends_guidance_for_good() -> None:
    """Behind its gate guidance per call has nothing to say, and both halves run just before."""
    made = unet_pipelines.strategy(
        {"tgate": {"gate": 3}, "guidance": {"mode": ["full", *["off"] * 5], "scale": 2.0}}
    )
    knobs = made.canonical().methods["guidance"]
    assert isinstance(knobs, Guidance)
    assert knobs.mode == ("full", "off", "full", "full", "full", "full")
    assert knobs.scale == (2.0, 1.0, 2.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("calls", [4, 5, 8, 10, 25, 50])
def test_starts_and_resampling_are_sound(calls: int) -> None:
    for knobs in Guidance.starts(calls):
        one = strategy("sd1", calls, **knobs.compact())
        for other in (1, 3, calls - 1, 2 * calls, 51):
            moved = one.resample(calls=other).methods["guidance"]
            assert isinstance(moved, Guidance)
            full = sum(mode == "full" for mode in knobs.mode)
            wanted = max(1, round(full * other / calls))
            assert abs(sum(mode == "full" for mode in moved.mode) - wanted) <= 1


def test_image_to_image_keeps_to_its_calls() -> None:
    base = unet_pipelines.build("sd1")
    pipe = AutoPipelineForImage2Image.from_pipe(base)
    pipe.set_progress_bar_config(disable=True)
    accel.apply(pipe, strategy("sd1", mode=["full", "full", "full", "off", "full", "off"]))
    draw(pipe, strength=0.7)
    found = [(record.call, record.guidance) for record in accel.stats(pipe)]
    assert found == [(2, "full"), (3, "off"), (4, "full"), (5, "off")]
