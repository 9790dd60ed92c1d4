"""Whatever a space of all methods contains runs: random strategies on every family.

A search counts a strategy whose generation fails as infeasible and continues, so that such a fault
would only make its front worse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import accel
from accel.solvers import schedulers
from search.spaces import with_calls
from strategies import SearchSpace, Strategy
from tests.support import guided_pipelines
from tests.support.composed_spaces import of_family
from tests.support.pipelines import stack_pipelines, unet_pipelines

UNETS = ("sd1", "sdxl")
STACKS = ("qwen", "z-image", "wan")
FAMILIES = {
    **dict.fromkeys(UNETS, "unet"),
    **dict.fromkeys(("dit", "pixart"), "dit"),
    **dict.fromkeys(("sd3", "sd35", "flux"), "mmdit"),
    **dict.fromkeys(STACKS, "transformer"),
}
REFUSED = {"dit": {"tgate"}, "z-image": {"cat", "atedm", "toca"}}
STEPS = [4, 7, 10]
SOLVERS = {
    "unet": ["DDIMScheduler", "PNDMScheduler", "HeunDiscreteScheduler"],
    "dit": ["DDIMScheduler", "DPMSolverMultistepScheduler"],
}


def space_of(pipe: Any, model: str) -> SearchSpace:
    """Everything that a search of a model may propose."""
    family = FAMILIES[model]
    methods = [one for one in of_family(family) if one not in REFUSED.get(model, set())]
    solvers = SOLVERS.get(family, [type(pipe.scheduler).__name__])
    calls = {
        (one, steps): schedulers.count_calls(pipe.scheduler, one, steps)
        for one in solvers
        for steps in STEPS
    }
    asked = {"schedulers": solvers, "steps": STEPS, "methods": methods}
    return with_calls(asked, family, calls)


def some(space: SearchSpace, count: int) -> list[Strategy]:
    rng = np.random.default_rng(0)
    return [space.decode([int(rng.integers(size)) for size in space.sizes]) for _ in range(count)]


def images(pipe: Any, model: str, one: Strategy, batch: int) -> torch.Tensor:
    if model in STACKS:
        return stack_pipelines.draw(pipe, model, batch=batch, num_inference_steps=one.steps)
    return guided_pipelines.draw(pipe, steps=one.steps, batch=batch)


def check(pipe: Any, model: str, one: Strategy) -> None:
    """A strategy runs, and its first image does not depend on the second."""
    with accel.accelerated(pipe, one, set_scheduler=True):
        try:
            alone, both = (images(pipe, model, one, batch) for batch in (1, 2))
        except Exception as error:
            raise AssertionError(f"{error!r} of {one}") from error
    bound = 1e-3 if model in STACKS else 1e-6  # Those run in single precision.
    torch.testing.assert_close(both[:1], alone, rtol=bound, atol=bound * float(alone.abs().max()))


def built(model: str) -> Any:
    return stack_pipelines.build(model) if model in STACKS else guided_pipelines.build(model)


@pytest.mark.parametrize("model", FAMILIES)
def test_random_strategies_run(model: str) -> None:
    pipe = built(model)
    for one in some(space_of(pipe, model), 2):
        check(pipe, model, one)


@pytest.mark.slow
@pytest.mark.parametrize("model", FAMILIES)
def test_many_random_strategies_run(model: str) -> None:
    pipe = built(model)
    for one in some(space_of(pipe, model), 150):
        check(pipe, model, one)


def test_a_prediction_is_repeated_again_after_the_end_of_guidance() -> None:
    """The kept one of the last guided call is used, let go, and followed by another."""
    depths = ["full", "full", 0, "full", "full", 0]
    methods = {"deepcache": {"depth": depths}, "tgate": {"gate": 2, "warmup": 0}}
    check(guided_pipelines.build("sd1"), "sd1", unet_pipelines.strategy(methods))


def test_halves_that_ran_alone_are_kept_apart_when_guidance_ends() -> None:
    """One of the kept results before the gate is of the half with the prompt only."""
    methods = {
        "deepcache": {"depth": ["full", "full", "full", "full", 1, 1], "order": 1},
        "guidance": {"mode": ["full", "full", "off", "full", "full", "full"]},
        "tgate": {"gate": 4, "warmup": 0},
    }
    check(guided_pipelines.build("sd1"), "sd1", unet_pipelines.strategy(methods))
