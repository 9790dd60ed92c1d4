"""Guidance per call: what it equals, on every topology and task."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import (
    AutoPipelineForImage2Image,
)

import accel
from strategies import Strategy
from tests.accel.methods.test_tgate_transformers import two_passes
from tests.support.guided_pipelines import MODELS, REUSE, build, draw, drawn, strategy
from tests.support.pipelines import any_class, transformer_pipelines, unet_pipelines
from tests.support.pipelines.unet_pipelines import STEPS

SLOW = [pytest.mark.slow]


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


@pytest.mark.parametrize("name", [n for n in transformer_pipelines.ALL if n.startswith("guidance")])
def test_two_passes_of_a_transformer_are_its_doubled_batch(name: str) -> None:
    """What other methods keep is of a half, whether it is rows of a batch or a pass of its own."""
    pipe = build("pixart")
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    accel.apply(pipe, transformer_pipelines.strategy("pixart", transformer_pipelines.ALL[name]))
    one = draw(pipe, latents=noise)
    torch.testing.assert_close(two_passes(pipe, noise), one, rtol=1e-5, atol=1e-5)
    assert {record.running for record in accel.stats(pipe)} == {0, 1}


def test_image_to_image_keeps_to_its_calls() -> None:
    base = unet_pipelines.build("sd1")
    pipe = AutoPipelineForImage2Image.from_pipe(base)
    pipe.set_progress_bar_config(disable=True)
    accel.apply(pipe, strategy("sd1", mode=["full", "full", "full", "off", "full", "off"]))
    draw(pipe, strength=0.7)
    found = [(record.call, record.guidance) for record in accel.stats(pipe)]
    assert found == [(2, "full"), (3, "off"), (4, "full"), (5, "off")]
