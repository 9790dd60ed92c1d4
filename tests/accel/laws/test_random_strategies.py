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
from tests.support.pipelines import stack_pipelines

UNETS = ("sd1", "sdxl")
GUIDED = guided_pipelines.MODELS
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


def runs(model: str, count: int) -> None:
    stack = model in STACKS
    pipe = stack_pipelines.build(model) if stack else guided_pipelines.build(model)
    space = space_of(pipe, model)
    for one in some(space, count):
        with accel.accelerated(pipe, one, set_scheduler=True):
            try:
                image = (
                    stack_pipelines.draw(pipe, model, num_inference_steps=one.steps)
                    if stack
                    else guided_pipelines.draw(pipe, steps=one.steps)
                )
            except Exception as error:
                raise AssertionError(f"{error!r} of {one}") from error
        assert torch.isfinite(image).all(), one


@pytest.mark.parametrize("model", FAMILIES)
def test_random_strategies_run(model: str) -> None:
    runs(model, 4)


@pytest.mark.slow
@pytest.mark.parametrize("model", FAMILIES)
def test_many_random_strategies_run(model: str) -> None:
    runs(model, 150)
