"""Every noise of an image comes from its seed, also what solvers draw while they run."""

from __future__ import annotations

import copy
import importlib.util
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

import accel.cli
import strategies
from accel.commands import generate
from accel.solvers import noise
from evaluate import read_model
from evaluate.images import generation as sample
from evaluate.images import prompts
from strategies import StrategyError
from tests.support.pipelines import transformer_pipelines as tiny
from tests.support.pipelines import unet_pipelines

STEPS = 3
FLOWS = {"FlowMatchEulerDiscreteScheduler", "FlowMatchLCMScheduler"}
DIFFUSION = {
    "CMStochasticIterativeScheduler",
    "CosineDPMSolverMultistepScheduler",
    "DDIMParallelScheduler",
    "DDIMScheduler",
    "DDPMParallelScheduler",
    "DDPMScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EDMDPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "LCMScheduler",
    "SASolverScheduler",
    "TCDScheduler",
}
# Settings that make a solver draw where its defaults do not.
STOCHASTIC: dict[str, dict[str, Any]] = {
    "DPMSolverMultistepScheduler": {"algorithm_type": "sde-dpmsolver++"},
    "DPMSolverSinglestepScheduler": {"algorithm_type": "sde-dpmsolver++"},
    "EDMDPMSolverMultistepScheduler": {"algorithm_type": "sde-dpmsolver++"},
    "FlowMatchEulerDiscreteScheduler": {"stochastic_sampling": True},
}
# Those that draw by an argument of `step` which no supported pipeline passes, and those of other
# pipelines' own loops.
OTHERS = {
    "CogVideoXDPMScheduler",
    "DDPMWuerstchenScheduler",
    "DPMSolverMultistepInverseScheduler",
    "EDMEulerScheduler",
    "EulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "RFD4ProteinaScheduler",
    "RePaintScheduler",
    "SCMScheduler",
    "UnCLIPScheduler",
}
BROWNIAN = {"CosineDPMSolverMultistepScheduler", "DPMSolverSDEScheduler"}
NEEDS_ETA = {"DDIMParallelScheduler", "DDIMScheduler"}  # Which SD 3 and DiT do not pass on.
SOLVERS = {
    "sd1": DIFFUSION,
    "sdxl": DIFFUSION,
    "pixart": DIFFUSION,
    "dit": DIFFUSION - NEEDS_ETA,
    "sd3": DIFFUSION - NEEDS_ETA | FLOWS | {"LTXEulerAncestralRFScheduler"},
    "flux": FLOWS,
}
HANDED_ON = ("sd1", "sdxl", "pixart")  # Their pipelines pass the generators to the solver.


def cases() -> list[Any]:
    found = []
    for place, (model, solvers) in enumerate(SOLVERS.items()):
        for index, solver in enumerate(sorted(solvers)):
            marks = []
            if solver in BROWNIAN and importlib.util.find_spec("torchsde") is None:
                marks.append(pytest.mark.skip(reason="needs torchsde"))
            elif solver not in FLOWS and (place + index) % 4:
                marks.append(pytest.mark.slow)
            found.append(pytest.param(model, solver, marks=marks))
    return found


def build(model: str, solver: str = "") -> Any:
    pipe = unet_pipelines.build(model) if model in unet_pipelines.MODELS else tiny.build(model)
    if solver:
        kind = getattr(diffusers, solver)
        pipe.scheduler = kind.from_config(pipe.scheduler.config, **STOCHASTIC.get(solver, {}))
    return pipe


def draw(pipe: Any, generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Latents of one prompt or class, an image for each generator."""
    count = len(generators)
    given: dict[str, Any] = {"generator": list(generators)}
    if "eta" in inspect.signature(pipe.__call__).parameters:
        given["eta"] = 1.0
    if isinstance(pipe, diffusers.DiTPipeline):
        given["class_labels"] = [7] * count
    else:
        given["prompt"] = ["a large red circle"] * count
    if type(pipe).__name__.startswith("StableDiffusion3") or hasattr(pipe, "transformer"):
        return tiny.draw(pipe, steps=STEPS, batch=count, **given)
    return unet_pipelines.draw(pipe, steps=STEPS, **given)


def seeded(pipe: Any, *seeds: int) -> torch.Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with noise.seeded(pipe, generators):
        return draw(pipe, generators)


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


def test_every_solver_that_draws_is_in_this_file() -> None:
    found = set()
    for name in (name for name in dir(diffusers) if name.endswith("Scheduler")):
        kind = getattr(diffusers, name)
        if "_backends" in vars(kind) or "step" not in dir(kind):
            continue  # Stands for a class whose package is not installed, or is no solver.
        text = inspect.getsource(kind.step)
        if "randn" in text or "noise_sampler" in text:
            found.add(name)
    assert found
    assert found <= OTHERS.union(*SOLVERS.values())


@pytest.mark.parametrize(("model", "solver"), cases())
def test_a_batch_is_its_images_and_a_seed_is_an_image(model: str, solver: str) -> None:
    pipe = build(model, solver)
    if model == "pixart":
        # Some processors round batches differently; its random weights enlarge that 10,000-fold.
        pipe.to(torch.float64)
    left = set(vars(pipe.scheduler)) & {"step", "noise_sampler_seed"}
    torch.manual_seed(1)
    three, four = seeded(pipe, 3), seeded(pipe, 4)
    torch.manual_seed(2)
    assert torch.equal(seeded(pipe, 3), three)
    assert distance(seeded(pipe, 3, 4), torch.cat([three, four])) < 1e-4
    assert distance(seeded(pipe, 4, 3), torch.cat([four, three])) < 1e-4
    assert distance(three, four) > 0.01
    assert type(pipe.scheduler) is getattr(diffusers, solver)
    assert set(vars(pipe.scheduler)) & {"step", "noise_sampler_seed"} == left


@pytest.mark.parametrize("model", SOLVERS)
def test_noise_is_what_the_solver_adds(model: str) -> None:
    """Without it two images from one start would be alike."""
    solver = "FlowMatchLCMScheduler" if model in ("sd3", "flux") else "LCMScheduler"
    pipe = build(model, solver)
    if model in HANDED_ON:
        plain = [draw(pipe, [torch.Generator().manual_seed(3)]) for _ in range(2)]
        assert torch.equal(*plain)
        assert torch.equal(seeded(pipe, 3), plain[0])  # The pipeline's own way is kept.
        return
    torch.manual_seed(1)
    plain = [draw(pipe, [torch.Generator().manual_seed(3)]) for _ in range(2)]
    assert distance(*plain) > 0.01
    assert distance(seeded(pipe, 3), plain[0]) > 0.01


@pytest.mark.parametrize("model", ["sd1", "dit", "sd3", "flux"])
def test_solvers_without_noise_draw_what_they_drew(model: str) -> None:
    pipe = build(model)
    assert torch.equal(seeded(pipe, 3), draw(pipe, [torch.Generator().manual_seed(3)]))


@pytest.mark.parametrize("model", ["sd3", "flux"])
@pytest.mark.parametrize("methods", [{}, {"fora": {"attn": [True, False, True, False]}}])
def test_scored_images_do_not_depend_on_their_batch(model: str, methods: dict[str, Any]) -> None:
    pipe = build(model)
    plan = tiny.strategy(model, methods, calls=4, scheduler="FlowMatchLCMScheduler")
    config = config_of(pipe)
    asked = prompts.load_prompts(config.heldout_prompts, 1).first(3)

    def drawn(batch: int) -> list[Any]:
        sized = config.model_copy(update={"batch": batch})
        return [
            image for part in sample.generate_batches(pipe, sized, plan, asked) for image in part
        ]

    found = {batch: drawn(batch) for batch in (1, 2, 3)}
    again = drawn(1)
    for index, image in enumerate(found[1]):
        assert np.array_equal(image, again[index])
        for batch in (2, 3):
            # Eight bits of values that differ by float tolerance.
            assert np.abs(image.astype(int) - found[batch][index].astype(int)).max() <= 1


def config_of(pipe: Any) -> Any:
    own = {"max_sequence_length": 16}
    changes = {"arguments": own, "height": 32, "width": 32, "batch": 1, "guidance": 4.0}
    return read_model("tiny-sd").model_copy(update=changes)


@pytest.mark.parametrize("model", ["sd3", "flux"])
def test_generated_images_follow_from_their_seeds(model: str) -> None:
    pipe = build(model)
    plan = tiny.strategy(
        model, {"fora": {"attn": [True, False] * 2}}, calls=4, scheduler="FlowMatchLCMScheduler"
    )
    own = {"max_sequence_length": 16}
    request = generate.GenerationRequest(
        "a circle", None, (3, 4, 3), height=32, width=32, arguments=own
    )
    one, other, again = map(np.asarray, generate.generate_images(pipe, request, plan).images)
    alone = generate.generate_images(
        pipe, generate.GenerationRequest(**vars(request) | {"seeds": (4,)}), plan
    ).images[0]
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.array_equal(np.asarray(alone), other)
    assert "step" not in vars(pipe.scheduler)


def test_the_command_draws_one_image_of_a_seed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    build("sd3", "FlowMatchLCMScheduler").save_pretrained(folder)
    plan = tiny.strategy("sd3", {}, calls=3, scheduler="FlowMatchLCMScheduler")
    strategies.save(plan, tmp_path / "plan.json")
    given = ["generate", "--model", str(folder), "--strategy", str(tmp_path / "plan.json")]
    given += ["--prompt", "a circle", "--seed", "5", "--height", "32"]
    given += ["--width", "32", "--device", "cpu"]
    for name in ("a.png", "b.png"):
        assert accel.cli.main([*given, "--out", str(tmp_path / name)]) == 0
    one, other = (np.asarray(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
    assert np.array_equal(one, other)


class Careless(diffusers.FlowMatchEulerDiscreteScheduler):
    """A solver of one's own whose noise no generator reaches."""

    def step(self, model_output: Any, timestep: Any, sample: Any, **kwargs: Any) -> Any:
        moved = super().step(model_output, timestep, sample, return_dict=False)[0]
        return (moved + 0.1 * torch.randn(moved.shape),)


def test_noise_that_no_seed_reaches_is_refused() -> None:
    pipe = build("sd3")
    pipe.scheduler = Careless.from_config(pipe.scheduler.config)
    with pytest.raises(StrategyError, match="Careless used torch's global random stream"):
        seeded(pipe, 3)
    assert type(pipe.scheduler) is Careless


def test_a_part_in_training_mode_is_refused() -> None:
    pipe = build("sd1")
    pipe.unet.down_blocks[0].resnets[0].dropout.p = 0.5
    pipe.unet.train()
    with pytest.raises(StrategyError, match="eval"):
        seeded(pipe, 3)


def test_rows_that_are_not_the_images_are_refused() -> None:
    pipe = build("sd3", "FlowMatchLCMScheduler")
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    with pytest.raises(StrategyError, match="3 rows for 2 images"), noise.seeded(pipe, generators):
        tiny.draw(pipe, steps=STEPS, batch=3)
    assert type(pipe.scheduler) is diffusers.FlowMatchLCMScheduler


def test_a_copy_of_the_scheduler_steps_itself() -> None:
    pipe = build("sd3", "FlowMatchLCMScheduler")
    with noise.seeded(pipe, [torch.Generator().manual_seed(3)]):
        other = copy.deepcopy(pipe.scheduler)
        for one in (pipe.scheduler, other):
            one.set_timesteps(STEPS)
        latents = torch.zeros(1, 4, 4, 4)
        other.step(latents, other.timesteps[0], latents)
        assert pipe.scheduler.step_index is None
        assert other.step_index == 1
