"""The laws on every model and task, and diffusers' other pipelines, solvers and extensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from peft import LoraConfig

import accel
from accel.solvers import schedulers
from tests.support.pipelines.law_cases import product
from tests.support.pipelines.method_cases import ALL, JOINT, STRONG, neutral
from tests.support.pipelines.unet_pipelines import (
    CLASSES,
    MODELS,
    STEPS,
    TASKS,
    build,
    draw,
    fresh,
    small_unet,
    spread,
    strategy,
)

SOLVERS = [
    "PNDMScheduler",
    "DDIMScheduler",
    "EulerDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "HeunDiscreteScheduler",
    "UniPCMultistepScheduler",
    "LCMScheduler",
]
OTHERS = [("sd1", "controlnet"), ("sd1", "upscale"), ("sd2", "upscale"), ("refiner", "img2img")]
PIPELINES = [(model, task) for model in MODELS for task in TASKS] + OTHERS


def in_turn(where: Sequence[Any], names: Sequence[str], *axes: Sequence[Any]) -> list[Any]:
    """All combinations with all uses of methods; each place once by default, with the next name."""
    found: list[Any] = []
    for turn, place in enumerate(where):
        for name in ALL:
            now = turn if name == names[turn % len(names)] else None
            found += product([place, name], axes, now, [])
    return found


def test_every_pipeline_class_is_covered() -> None:
    lines = {"sd1": "sd", "sd2": "sd", "sdxl": "xl", "refiner": "xl"}
    assert {(lines[model], task) for model, task in PIPELINES} == set(CLASSES)


@pytest.mark.parametrize(("where", "name"), in_turn(PIPELINES, [*STRONG, "everything"]))
def test_laws_on_every_pipeline(where: tuple[str, str], name: str) -> None:
    """Laws 1 to 4 in one go: neutral, removed, repeated, and after another generation."""
    model, task = where
    pipe = build(model, task)
    plain = draw(pipe)
    accel.apply(pipe, strategy(neutral(name)))
    assert torch.equal(draw(pipe), plain)
    accel.apply(pipe, strategy(ALL[name]))
    mine = draw(pipe)
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)
    if task in ("img2img", "inpaint"):
        draw(pipe, strength=0.5)
    few = torch.rand(2, 3, 32, 32)
    two: dict[str, Any] = (
        {} if task == "text2img" else {"image": few[..., :16, :16] if task == "upscale" else few}
    )
    draw(pipe, guidance_scale=1.0, prompt=["a cyan square", "a ring"], **two)
    assert torch.equal(draw(pipe), mine)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)


# ParaDiGMS takes some solvers and some tasks alone.
ANYWHERE = [name for name, methods in JOINT.items() if "paradigms" not in methods]
ANY_SOLVER = [*(name for name in STRONG if name != "paradigms"), "everything"]


@pytest.mark.parametrize(("where", "name", "guidance"), in_turn(PIPELINES, ANYWHERE, [5.0, 1.0]))
def test_a_batch_is_its_images(where: tuple[str, str], name: str, guidance: float) -> None:
    """Law 6, with prompts that differ; in double precision, or near ties flip on rounding."""
    model, task = where
    pipe = build(model, task).to(dtype=torch.float64)
    accel.apply(pipe, strategy(ALL[name]))
    prompts = ["a large red circle", "a small blue ring above a small red cross", "a cyan square"]
    side = 16 if task == "upscale" else 32
    image = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(7))

    def run(*numbers: int) -> torch.Tensor:
        chosen = [prompts[n] for n in numbers]
        seeds = [torch.Generator().manual_seed(n) for n in numbers]
        given: dict[str, Any] = {}
        if task != "text2img":
            given = {"image": image[list(numbers)].double()}
        if task == "inpaint":
            given["mask_image"] = (image[list(numbers), :1] > 0.5).double()
        return draw(pipe, prompt=chosen, generator=seeds, guidance_scale=guidance, **given)

    together = run(0, 1, 2)
    for index in range(3):
        alone = run(index)
        assert (together[index : index + 1] - alone).norm() < 1e-5 * alone.norm()


@pytest.mark.parametrize(("solver", "name"), in_turn(SOLVERS, ANY_SOLVER))
def test_every_solver(solver: str, name: str) -> None:
    pipe = build("sd1")
    calls = schedulers.count_calls(pipe.scheduler, solver, STEPS)
    one = strategy(ALL[name]).resample(calls=calls, steps=STEPS, scheduler=solver)
    idle = strategy(neutral(name)).resample(calls=calls, steps=STEPS, scheduler=solver)
    pipe.scheduler = schedulers.make(pipe.scheduler, solver)
    plain = draw(pipe)
    accel.apply(pipe, idle)
    assert torch.equal(draw(pipe), plain)
    accel.apply(pipe, one)
    mine = draw(pipe)
    assert [record.call for record in accel.stats(pipe)] == list(range(calls))
    assert not torch.equal(mine, plain)
    assert torch.equal(draw(pipe), mine)
    accel.remove(pipe)
    assert "step" not in vars(pipe.scheduler)
    assert torch.equal(draw(pipe), plain)


@pytest.mark.parametrize(
    ("model", "name"), spread(MODELS, ["deepcache", "tgate+deepcache", "everything"], every=3)
)
def test_image_to_image_uses_the_tail(model: str, name: str) -> None:
    pipe = build(model, "img2img")
    accel.apply(pipe, strategy({"deepcache": {"depth": ["full", 1, 2, 3, 1, 0]}}))
    depths = {}
    for strength in (0.5, 1.0, 0.5):
        draw(pipe, strength=strength)
        depths[strength] = [(r.call, r.depth) for r in accel.stats(pipe)]
    assert depths[1.0] == list(enumerate(["full", 1, 2, 3, 1, 0]))
    assert depths[0.5] == [(3, "full"), (4, 1), (5, 0)]
    accel.apply(pipe, strategy(ALL[name]))
    first = draw(pipe, strength=0.5)
    draw(pipe, strength=1.0)
    assert torch.equal(draw(pipe, strength=0.5), first)


def test_a_run_behind_the_gate_starts_with_everything() -> None:
    """Its first call has guidance and nothing to reuse; the next ones have one row."""
    pipe = build("sd1", "img2img")
    rows: list[int] = []
    pipe.unet.conv_in.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    accel.apply(pipe, strategy({"tgate": {"gate": 2}}))
    draw(pipe, strength=0.5)
    assert rows == [2, 1, 1]
    assert accel.stats(pipe)[0].reused == []


@pytest.mark.parametrize(("name", "_"), spread(ALL, [0], every=5))
def test_base_and_refiner_share_the_schedule(name: str, _: int) -> None:
    """SDXL's base stops where the refiner starts; each runs its part of the lists."""
    base, refiner = build("sdxl"), build("refiner", "img2img")
    for pipe in (base, refiner):
        accel.apply(pipe, strategy(ALL[name]))
    latents = draw(base, denoising_end=0.5)
    draw(refiner, image=latents, denoising_start=0.5)
    calls = [[record.call for record in accel.stats(pipe)] for pipe in (base, refiner)]
    assert calls[0] + calls[1] == list(range(STEPS))
    assert all(calls)
    again = draw(base, denoising_end=0.5)
    assert torch.equal(again, latents)


@pytest.mark.parametrize(("name", "first"), spread(ALL, [True, False], every=8))
def test_lora(name: str, first: bool) -> None:
    """A peft adapter, added before or after the strategy, acts the same; and goes away again."""
    pipe, other, plain, without = build("sd1"), build("sd1"), fresh(), fresh(name)
    accel.apply(other, strategy(ALL[name]))

    def adapt() -> None:
        torch.manual_seed(1)
        pipe.unet.add_adapter(
            LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
        )

    if first:
        adapt()
    accel.apply(pipe, strategy(ALL[name]))
    if not first:
        assert torch.equal(draw(pipe), without)
        adapt()
    mine = draw(pipe)
    assert not torch.equal(mine, without)
    other.unet.add_adapter(
        LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    )
    other.unet.load_state_dict(pipe.unet.state_dict())
    assert torch.equal(draw(other), mine)
    pipe.unet.delete_adapters("default")
    assert torch.equal(draw(pipe), without)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)


@pytest.mark.parametrize(
    "depth", [1, 8, *(pytest.param(one, marks=pytest.mark.slow) for one in (2, 4, 6))]
)
def test_controlnet_keeps_its_say(depth: int) -> None:
    pipe = build("sd1", "controlnet")
    plain = draw(pipe)
    accel.apply(pipe, strategy({"deepcache": {"depth": depth}}))
    mine = draw(pipe)
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)
    if depth == 8:
        # Only the mid block is reused: with ControlNet's part of it, the change is small.
        assert (mine - plain).norm() < 0.1 * plain.norm()


def test_a_subclass_and_a_community_pipeline_work() -> None:
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

    class Ours(UNet2DConditionModel):
        pass

    class Community(StableDiffusionPipeline):
        pass

    pipe = build()
    components = dict(pipe.components)
    components["unet"] = Ours.from_config(pipe.unet.config)
    components["unet"].load_state_dict(pipe.unet.state_dict())
    other = Community(**components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    for one in (pipe, other):
        accel.apply(one, strategy(ALL["everything"]))
    assert torch.equal(draw(other), draw(pipe))


def test_sd_xl_topology_has_nine_levels() -> None:
    from accel.families.unet import sites

    found = sites(small_unet("sdxl", layers_per_block=2))
    assert found is not None
    assert found.skip_levels == 9
    assert {site.level for site in found.attentions} == {0, 1}
