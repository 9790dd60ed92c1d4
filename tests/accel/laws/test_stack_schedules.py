"""Calls of the family `transformer` are found with every solver, schedule and task."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

import accel
from accel.solvers import schedulers
from strategies import Strategy
from tests.support.pipelines.stack_arguments import picture
from tests.support.pipelines.stack_pipelines import (
    PIPES,
    STEPS,
    build,
    draw,
    flux2_vae,
    strategy,
    tiny_of,
)
from tests.support.stacks import more_stacks

FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
SOLVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "FlowMatchEulerDiscreteScheduler": ("wan", {}),
    "FlowMatchHeunDiscreteScheduler": ("wan", {}),
    "FlowMatchLCMScheduler": ("wan", {}),
    "UniPCMultistepScheduler": ("wan", FLOW),
    "DPMSolverMultistepScheduler": ("wan", FLOW),
    "CogVideoXDDIMScheduler": ("cogvideox", {}),
    "CogVideoXDPMScheduler": ("cogvideox", {}),
    "DDPMScheduler": ("hunyuan-dit", {}),
    "DDIMScheduler": ("hunyuan-dit", {}),
    "EDMEulerScheduler": ("cosmos", {}),
}


def pattern(calls: int) -> list[Any]:
    """Depths: every third call in full."""
    return ["full" if call % 3 == 0 else call % 3 - 1 for call in range(calls)]


def seeded(pipe: Any, name: str) -> torch.Tensor:
    """The result with the noise of a solver that gets no generator always the same."""
    torch.manual_seed(0)
    return draw(pipe, name)


@pytest.mark.parametrize("solver", SOLVERS)
def test_calls_of_a_solver(solver: str) -> None:
    name, settings = SOLVERS[solver]
    pipe = build(name)
    pipe.scheduler = getattr(diffusers, solver)(**settings)
    plain = seeded(pipe, name)
    calls = len(pipe.scheduler.timesteps)
    if solver in schedulers.KNOWN:
        assert calls == schedulers.count_calls(pipe.scheduler, solver, STEPS)
    one = Strategy.create(
        family="transformer", scheduler=solver, steps=STEPS, calls=calls,
        methods={"deltacache": {"depth": pattern(calls)}},
    )  # fmt: skip
    accel.apply(pipe, one)
    mine = seeded(pipe, name)
    records = [record for record in accel.stats(pipe) if record.branch == 0]
    assert [record.call for record in records] == list(range(calls))
    assert [record.depth for record in records] == pattern(calls)
    assert torch.equal(seeded(pipe, name), mine)
    accel.remove(pipe)
    assert torch.equal(seeded(pipe, name), plain)


@pytest.mark.parametrize("name", ["qwen", "flux2", "z-image", "chroma", "lumina2"])
def test_own_sigmas(name: str) -> None:
    """A schedule of as many steps as it has noise levels."""
    pipe = build(name)
    sigmas = np.linspace(1.0, 0.1, STEPS) ** 2
    plain = draw(pipe, name, sigmas=sigmas)
    assert not torch.equal(plain, draw(pipe, name))
    accel.apply(pipe, strategy(name, {"deltacache": {"depth": pattern(STEPS)}}))
    draw(pipe, name, sigmas=sigmas, num_inference_steps=50)
    records = [record for record in accel.stats(pipe) if record.branch == 0]
    assert [(r.call, r.depth) for r in records] == list(enumerate(pattern(STEPS)))
    accel.apply(pipe, strategy(name, {"deltacache": {"depth": "full"}}))
    assert torch.equal(draw(pipe, name, sigmas=sigmas), plain)


def test_own_timesteps() -> None:
    name, pipe = "sana", build("sana")
    times = [900, 800, 500, 300, 200, 100]
    pipe.scheduler = diffusers.DDPMScheduler()
    one = Strategy.create(
        family="transformer", scheduler="DDPMScheduler", steps=STEPS, calls=STEPS,
        methods={"deltacache": {"depth": pattern(STEPS)}},
    )  # fmt: skip
    accel.apply(pipe, one)
    draw(pipe, name, timesteps=times)
    assert [(r.call, r.depth) for r in accel.stats(pipe)] == list(enumerate(pattern(STEPS)))


IMAGE_TASKS = {
    "qwen": ("QwenImageImg2ImgPipeline", "AutoencoderKLQwenImage"),
    "z-image": ("ZImageImg2ImgPipeline", "AutoencoderKL"),
    "chroma": ("ChromaImg2ImgPipeline", "AutoencoderKL"),
}


def vae(kind: str) -> Any:
    if kind == "AutoencoderKL":
        made = diffusers.AutoencoderKL(
            block_out_channels=(8, 8, 8, 8), latent_channels=4, norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            shift_factor=0.0,
        )  # fmt: skip
        return made.eval()
    return diffusers.AutoencoderKLQwenImage(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    ).eval()  # fmt: skip


def task(name: str, kind: str, autoencoder: str) -> Any:
    """Another pipeline on the transformer of a tiny one."""
    base = build(name)
    parts = {n: one for n, one in base.components.items() if n != "vae"}
    takes = inspect.signature(getattr(diffusers, kind).__init__).parameters
    absent = {n: None for n, one in takes.items() if n != "self" and one.default is one.empty}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        pipe = getattr(diffusers, kind)(**(absent | parts | {"vae": vae(autoencoder)}))
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("name", IMAGE_TASKS)
def test_image_to_image_runs_the_tail_of_the_schedule(name: str) -> None:
    pipe = task(name, *IMAGE_TASKS[name])
    given: dict[str, Any] = {"image": picture(), "strength": 0.5}
    plain = draw(pipe, name, **given)
    accel.apply(pipe, strategy(name, {"deltacache": {"depth": ["full", 0, 0, 0, 0, "skip"]}}))
    mine = draw(pipe, name, **given)
    records = [record for record in accel.stats(pipe) if record.branch == 0]
    assert [(r.call, r.depth) for r in records] == [(3, "full"), (4, 0), (5, "skip")]
    assert torch.equal(draw(pipe, name, **given), mine)
    assert not torch.equal(mine, plain)
    methods = {"guidance": {"mode": ["full", "full", "full", "full", "reuse", "off"]}}
    accel.apply(pipe, strategy(name, methods))
    draw(pipe, name, **given)
    found = {record.call: record.guidance for record in accel.stats(pipe)}
    assert found == {3: "full", 4: "reuse", 5: "off"}
    accel.remove(pipe)
    assert torch.equal(draw(pipe, name, **given), plain)


def test_qwen_image_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of the given image come after those of the new one."""
    home = "diffusers.pipelines.qwenimage.pipeline_qwenimage_edit.calculate_dimensions"
    monkeypatch.setattr(home, lambda area, ratio: (32, 32, None))  # In place of a million pixels.
    pipe = task("qwen", "QwenImageEditPipeline", "AutoencoderKLQwenImage")
    given: dict[str, Any] = {"image": picture()}
    plain = draw(pipe, "qwen", **given)
    accel.apply(pipe, strategy("qwen", {"deltacache": {"depth": pattern(STEPS)}}))
    mine = draw(pipe, "qwen", **given)
    records = [record for record in accel.stats(pipe) if record.branch == 0]
    assert [(r.call, r.depth) for r in records] == list(enumerate(pattern(STEPS)))
    assert torch.isfinite(mine).all()
    accel.apply(pipe, strategy("qwen", {"guidance": {"mode": "off"}}))
    off = draw(pipe, "qwen", **given)
    accel.remove(pipe)
    assert torch.equal(off, draw(pipe, "qwen", true_cfg_scale=1.0, **given))
    assert torch.equal(draw(pipe, "qwen", **given), plain)


def test_every_pipeline_of_flux2_draws_with_a_reference() -> None:
    """FLUX.2-klein guides by two passes, whose inputs both have the image's tokens."""
    pipe = build("flux2-klein")
    pipe.vae = flux2_vae()["vae"]
    given: dict[str, Any] = {"image": [picture()]}
    accel.apply(pipe, strategy("flux2-klein", {"guidance": {"mode": "off"}}))
    off = draw(pipe, "flux2-klein", **given)
    accel.remove(pipe)
    assert torch.equal(off, draw(pipe, "flux2-klein", guidance_scale=1.0, **given))


def test_the_tiny_pipelines_are_of_pipelines_that_there_are() -> None:
    every = [*PIPES, *more_stacks.NAMES]
    assert all(hasattr(diffusers, tiny_of(name).pipeline) for name in every)
