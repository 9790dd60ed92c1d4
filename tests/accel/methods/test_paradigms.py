"""ParaDiGMS: windows of calls, their errors, and what it cannot follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler

import accel
from accel.solvers import linear_steps, noise
from strategies import Strategy, StrategyError
from tests.support.pipelines import stack_pipelines as stacks
from tests.support.pipelines import transformer_pipelines as transformers
from tests.support.pipelines import unet_pipelines as unets
from tests.support.pipelines.law_cases import case, law

CALLS = 8
EXACT = {"window": 4, "tolerance": 0.0}
LOOSE = {"window": 4, "tolerance": 0.5}
Draw = Callable[..., torch.Tensor]


def made(family: str, solver: str, methods: dict[str, Any], calls: int = CALLS) -> Strategy:
    return Strategy.create(
        family=family, scheduler=solver, steps=calls, calls=calls, methods=methods
    )


def run(
    pipe: Any, family: str, solver: str, draw: Draw, knobs: dict[str, Any] | None, **given: Any
) -> tuple[torch.Tensor, list[int | None]]:
    """Latents, and the rows that ran in each pass."""
    methods = {} if knobs is None else {"paradigms": knobs}
    with accel.accelerated(pipe, made(family, solver, methods), set_scheduler=True):
        found = draw(pipe, steps=CALLS, **given)
        return found, [record.running for record in accel.stats(pipe)]


SOLVERS = [
    ("unet", "sd1", "DDIMScheduler"),
    ("unet", "sd1", "DDIMScheduler(spacing=trailing)"),
    ("unet", "sdxl", "EulerDiscreteScheduler"),
    ("unet", "sd1", "DPMSolverMultistepScheduler(order=1)"),
    ("dit", "dit", "DDIMScheduler"),
    ("mmdit", "sd3", "FlowMatchEulerDiscreteScheduler"),
    ("mmdit", "flux", "FlowMatchEulerDiscreteScheduler"),  # Two passes of guidance.
]


@pytest.mark.parametrize(("family", "model", "solver"), SOLVERS)
def test_without_tolerance_images_are_those_of_single_calls(
    family: str, model: str, solver: str
) -> None:
    kind = unets if family == "unet" else transformers
    pipe = kind.build(model)
    plain, _ = run(pipe, family, solver, kind.draw, None)
    exact, ran = run(pipe, family, solver, kind.draw, EXACT)
    assert (exact - plain).norm() / plain.norm() < 1e-4
    assert all(ran)
    loose, ran = run(pipe, family, solver, kind.draw, LOOSE)
    assert 1e-5 < (loose - plain).norm() / plain.norm() < 0.3
    assert 0 in ran


@law(5)
@case("transformer", ["paradigms"])
@pytest.mark.parametrize(
    "name", ["flux2", "chroma", "wan22", "auraflow", "ltx", "kandinsky5-image"]
)
def test_other_transformers(name: str) -> None:
    """Calls that were computed ahead do not run."""
    pipe = stacks.build(name)
    plain = stacks.draw(pipe, name)
    accel.apply(pipe, stacks.strategy(name, {"paradigms": {"window": 3, "tolerance": 0.0}}))
    assert (stacks.draw(pipe, name) - plain).norm() / plain.norm() < 1e-4
    accel.apply(pipe, stacks.strategy(name, {"paradigms": {"window": 3, "tolerance": 1.0}}))
    stacks.draw(pipe, name)
    assert any(record.running == 0 for record in accel.stats(pipe))


def test_it_follows_the_papers_algorithm() -> None:
    """Written plainly: the window, its errors in units of the noise, and how far it slides."""
    pipe = unets.build("sd1")
    window, tolerance = 4, 0.5
    inputs, ran = run(
        pipe, "unet", "DDIMScheduler", unets.draw, {"window": window, "tolerance": tolerance},
        guidance_scale=1.0,
    )  # fmt: skip
    scheduler: Any = pipe.scheduler
    scheduler.set_timesteps(CALLS)
    embeds = pipe.encode_prompt("a large red circle", "cpu", 1, False)[0]
    states = [torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))]
    kept = [float(scheduler.alphas_cumprod[t]) for t in scheduler.timesteps]
    kept.append(float(scheduler.final_alpha_cumprod))
    guesses, start, slides = dict.fromkeys(range(CALLS + 1), states[0]), 0, []
    while start < CALLS:
        calls = range(start, min(start + window, CALLS))
        with torch.no_grad():
            noise = [
                pipe.unet(guesses[c], scheduler.timesteps[c], encoder_hidden_states=embeds).sample
                for c in calls
            ]
        errors, state = [], guesses[start]
        for call, predicted in zip(calls, noise, strict=True):
            a, b = kept[call], kept[call + 1]
            state = scheduler.step(predicted, scheduler.timesteps[call], state).prev_sample
            variance = (1 - b) / (1 - a) * (1 - a / b)
            errors.append(float((state - guesses[call + 1]).square().mean()) / max(variance, 1e-9))
            guesses[call + 1] = state
        stands = [error <= tolerance**2 for error in errors[:-1]]
        slides.append(1 + (stands.index(False) if False in stands else len(stands)))
        start += slides[-1]
        for call in range(calls[-1] + 2, CALLS + 1):
            guesses[call] = guesses[calls[-1] + 1]
    assert (inputs - guesses[CALLS]).norm() / inputs.norm() < 1e-4
    places = [call for call, rows in enumerate(ran) if rows]
    assert places == [sum(slides[:n]) for n in range(len(slides))]
    assert len(places) < CALLS


def test_an_image_does_not_depend_on_its_batch() -> None:
    pipe = unets.build("sd1")
    prompts = ["a large red circle", "a small blue ring"]
    alone = [
        run(pipe, "unet", "DDIMScheduler", unets.draw, LOOSE, prompt=prompt,
            generator=torch.Generator().manual_seed(seed))[0]
        for seed, prompt in enumerate(prompts)
    ]  # fmt: skip
    seeds = [torch.Generator().manual_seed(seed) for seed in range(2)]
    both, _ = run(pipe, "unet", "DDIMScheduler", unets.draw, LOOSE, prompt=prompts, generator=seeds)
    assert (both - torch.cat(alone)).norm() / both.norm() < 1e-3


def test_noise_that_follows_from_seeds_is_left_alone() -> None:
    pipe = unets.build("sd1")
    seeds = [torch.Generator().manual_seed(seed) for seed in range(2)]
    plain, _ = run(
        pipe, "unet", "DDIMScheduler", unets.draw, EXACT, prompt=["a", "b"], generator=seeds
    )
    seeds = [torch.Generator().manual_seed(seed) for seed in range(2)]
    with noise.seeded(pipe, seeds):
        same, _ = run(
            pipe, "unet", "DDIMScheduler", unets.draw, EXACT, prompt=["a", "b"], generator=seeds
        )
    assert torch.equal(same, plain)


def test_from_an_image_it_starts_behind_the_first_call() -> None:
    pipe = unets.build("sd1", "img2img")
    plain, _ = run(pipe, "unet", "DDIMScheduler", unets.draw, None, strength=0.6)
    exact, ran = run(pipe, "unet", "DDIMScheduler", unets.draw, EXACT, strength=0.6)
    assert len(ran) < CALLS
    assert (exact - plain).norm() / plain.norm() < 1e-4


def test_a_trained_model_needs_half_of_the_passes() -> None:
    import zoo

    pipe, found = zoo.load("tiny-sd"), []
    pipe.set_progress_bar_config(disable=True)
    for methods in ({}, {"paradigms": {"window": 4, "tolerance": 0.1}}):
        with accel.accelerated(pipe, made("unet", "DDIMScheduler", methods, 25)):
            found.append(unets.draw(pipe, steps=25))
            ran = sum(bool(record.running) for record in accel.stats(pipe))
    assert ran <= 15
    assert (found[1] - found[0]).norm() / found[0].norm() < 0.05


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("PNDMScheduler", {}, "PNDMScheduler is none of them"),
    ("DPMSolverMultistepScheduler", {}, "has order 2"),
    ("DDIMScheduler", {"eta": 0.5}, "does not go with eta=0.5"),
    ("DDIMScheduler", {"guidance_rescale": 0.7}, "does not go with guidance_rescale=0.7"),
]


@pytest.mark.parametrize(("solver", "given", "said"), REFUSED)
def test_what_it_cannot_follow_is_refused(solver: str, given: dict[str, Any], said: str) -> None:
    pipe = unets.build("sd1")
    calls = CALLS + 1 if solver == "PNDMScheduler" else CALLS
    strategy = Strategy.create(
        family="unet", scheduler=solver, steps=CALLS, calls=calls, methods={"paradigms": LOOSE}
    )
    with (
        accel.accelerated(pipe, strategy, set_scheduler=True),
        pytest.raises(StrategyError, match=said),
    ):
        unets.draw(pipe, steps=CALLS, **given)


def test_latents_that_something_else_changes_are_noticed() -> None:
    pipe = unets.build("sd1")

    def change(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        return {"latents": tensors["latents"] * 1.5}

    accel.apply(pipe, made("unet", "DDIMScheduler", {"paradigms": LOOSE}))
    with pytest.raises(StrategyError, match="something else changes the latents"):
        unets.draw(pipe, steps=CALLS, callback_on_step_end=change)
    accel.remove(pipe)


def test_a_control_network_is_refused() -> None:
    pipe = unets.build("sd1", "controlnet")
    accel.apply(pipe, made("unet", "DDIMScheduler", {"paradigms": LOOSE}))
    with pytest.raises(StrategyError, match="cannot guess what a ControlNet"):
        unets.draw(pipe, steps=CALLS)


def test_a_loop_of_ones_own_is_refused() -> None:
    pipe = unets.build("sd1")
    accel.apply(pipe, made("unet", "DDIMScheduler", {"paradigms": LOOSE}))
    pipe.scheduler.set_timesteps(CALLS)
    with pytest.raises(StrategyError, match="needs the pipeline's own call"):
        pipe.unet(torch.zeros(1, 4, 16, 16), pipe.scheduler.timesteps[0], torch.zeros(1, 5, 64))


def test_scaled_norms_and_other_times_are_refused() -> None:
    for name, said in (("qwen", "scaled norm"), ("z-image", "does not know which times")):
        pipe = stacks.build(name)
        accel.apply(pipe, stacks.strategy(name, {"paradigms": LOOSE}))
        with pytest.raises(StrategyError, match=said):
            stacks.draw(pipe, name)


def test_methods_beside_it() -> None:
    for name, knobs in (
        ("deepcache", {"depth": ["full", 1] * 4}),
        ("guidance", {"mode": ["full", "off"] * 4}),
    ):
        with pytest.raises(StrategyError, match=f"methods.{name} makes each call from those"):
            made("unet", "DDIMScheduler", {"paradigms": LOOSE, name: knobs})
    with pytest.raises(StrategyError, match=r"methods\.tome\.ratio changes from call to call"):
        made("unet", "DDIMScheduler", {"paradigms": LOOSE, "tome": {"ratio": [0.5, 0.0] * 4}})
    both = made("unet", "DDIMScheduler", {"paradigms": EXACT, "tome": {"ratio": 0.5}})
    alone = made("unet", "DDIMScheduler", {"tome": {"ratio": 0.5}})
    pipe = unets.build("sd1")
    with accel.accelerated(pipe, alone):
        merged = unets.draw(pipe, steps=CALLS)
    with accel.accelerated(pipe, both):
        assert (unets.draw(pipe, steps=CALLS) - merged).norm() / merged.norm() < 1e-4
    neutral = {"paradigms": {"window": 1}, "deepcache": {"depth": ["full", 1] * 4}}
    one = made("unet", "DDIMScheduler", neutral)
    assert "paradigms" not in one.canonical().methods


def test_every_call_is_a_kind_of_its_own() -> None:
    one = made("unet", "DDIMScheduler", {"paradigms": LOOSE})
    other = made("unet", "DDIMScheduler", {"paradigms": EXACT})
    assert len({*one.kinds(), *other.kinds()}) == 2 * CALLS


def test_linear_steps_are_the_schedulers() -> None:
    scheduler: Any = DDIMScheduler(clip_sample=False)
    scheduler.set_timesteps(5)
    steps = linear_steps.schedule_numbers(scheduler)
    state, noise = torch.randn(2, 3), torch.randn(2, 3)
    for call, time in enumerate(scheduler.timesteps):
        expected = scheduler.step(noise, time, state).prev_sample
        assert torch.allclose(steps.keep[call] * state + steps.move[call] * noise, expected)
    assert steps.noise[-1] < min(steps.noise[:-1])
    with pytest.raises(StrategyError, match="clip_sample=True"):
        linear_steps.schedule_numbers(DDIMScheduler())
