"""Law 4 under random histories: whatever happened before, a generation is a fresh pipeline's."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import accel
from accel.solvers import schedulers
from tests.support.pipelines.method_cases import ALL, STRONG
from tests.support.pipelines.unet_pipelines import (
    MODELS,
    STEPS,
    TASKS,
    build,
    draw,
    fresh,
    strategy,
)

SOLVERS = ["DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler"]
APPLY = st.tuples(st.just("apply"), st.sampled_from(list(ALL)), st.sampled_from(SOLVERS))
DRAW = st.tuples(
    st.sampled_from(["draw", "fail", "interrupt"]),
    st.fixed_dictionaries(
        {},
        optional={
            "guidance_scale": st.sampled_from([1.0, 3.0]),
            "prompt": st.sampled_from(["a ring", ["a square", "a small cross"], ["a"] * 3]),
            "height": st.sampled_from([16, 24, 40]),
            "width": st.sampled_from([16, 32, 56]),
            "strength": st.sampled_from([0.4, 0.6, 0.9]),
        },
    ),
    st.integers(0, 3),
)
ACTIONS = st.lists(st.one_of(APPLY, DRAW, st.just(("remove",))), max_size=6)


HISTORIES = (ACTIONS, st.sampled_from(list(ALL)), st.sampled_from(MODELS), st.sampled_from(TASKS))
SETTINGS = settings(
    max_examples=4,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # Shrinking would take minutes.
)


@SETTINGS
@given(*HISTORIES)
def test_the_last_generation_equals_a_fresh_pipelines(
    actions: list[Any], name: str, model: str, task: str
) -> None:
    equal_to_a_fresh_one(actions, name, model, task)


@pytest.mark.slow
@settings(SETTINGS, max_examples=100)
@given(*HISTORIES)
def test_the_last_generation_of_many(actions: list[Any], name: str, model: str, task: str) -> None:
    equal_to_a_fresh_one(actions, name, model, task)


def equal_to_a_fresh_one(actions: list[Any], name: str, model: str, task: str) -> None:
    pipe, steps = build(model, task), 3
    for kind, *rest in actions:
        if kind == "apply":
            steps = _apply(pipe, *rest)
        elif kind == "remove":
            accel.remove(pipe)
        else:
            _draw(pipe, task, steps, kind, *rest)
    accel.apply(pipe, strategy(ALL[name]), set_scheduler=True)
    mine = draw(pipe)
    other = build(model, task)
    accel.apply(other, strategy(ALL[name]))
    assert torch.equal(mine, draw(other))
    accel.remove(pipe)
    assert torch.equal(draw(pipe), draw(build(model, task)))


def _apply(pipe: Any, name: str, solver: str) -> int:
    calls = schedulers.count_calls(pipe.scheduler, solver, STEPS)
    one = strategy(ALL[name]).resample(calls=calls, steps=STEPS, scheduler=solver)
    accel.apply(pipe, one, set_scheduler=True)
    return STEPS


class InTheMiddleError(Exception):
    pass


def _draw(pipe: Any, task: str, steps: int, kind: str, given: dict[str, Any], at: int) -> None:
    def disturb(pipe: Any, step: int, *_: Any) -> dict[str, Any]:
        if step == at and kind == "fail":
            raise InTheMiddleError
        pipe._interrupt = step == at and kind == "interrupt"
        return {}

    if task == "text2img":
        given = {k: v for k, v in given.items() if k != "strength"}
    if task != "text2img" and isinstance(given.get("prompt"), list):
        given = given | {"image": torch.rand(len(given["prompt"]), 3, 32, 32)}
    with contextlib.suppress(InTheMiddleError):
        draw(pipe, _steps(pipe, steps), callback_on_step_end=disturb, **given)


def _steps(pipe: Any, steps: int) -> int:
    """The applied strategy's steps, or any number without one."""
    try:
        accel.stats(pipe)
    except accel.StrategyError:
        return steps
    return STEPS


@pytest.mark.parametrize(
    "names", [[*STRONG, "everything"], pytest.param([*ALL], marks=pytest.mark.slow)], ids=len
)
def test_a_strategy_after_every_other(names: list[str]) -> None:
    """Two rounds: in the second one each has all others before it."""
    pipe = build("sd1")
    for name in [*names, *names]:
        accel.apply(pipe, strategy(ALL[name]))
        assert torch.equal(draw(pipe), fresh(name)), name
