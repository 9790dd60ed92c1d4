"""A pipeline that things happen to, in any order: its image is always that of a fresh one.

A state machine applies and removes strategies, puts hooks, adapters and wrappers on and takes them
off, copies, shares and replaces the network, and lets generations fail in the middle. After each
generation the image equals that of a fresh pipeline brought to the same state, or both refuse.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import accel
from strategies import StrategyError
from tests.support.pipelines.pipeline_states import (
    CHANGES,
    Change,
    build,
    draw,
    network,
    strategies_of,
)

CHANGED = {change.name: change for change in CHANGES if change.off is not None}
# What a later change rests on cannot be taken away below it.
LAST_ONLY = ("a wrapper of one's own", "fused projections", "other weights")
ADAPTERS = ("adapter", "adapter with another weight")
SEEDS = st.integers(0, 1)
FOUND: dict[Any, torch.Tensor | None] = {}


class Pipelines(RuleBasedStateMachine):
    """One pipeline of a family and, at times, a second on the same network."""

    model = "sd1"

    @initialize()
    def start(self) -> None:
        self.pipe = build(self.model)
        self.applied: str | None = None
        self.changed: list[str] = []
        self.other: Any = None
        self.others: str | None = None

    @rule(data=st.data())
    def apply(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([*strategies_of(self.model)]))
        try:
            accel.apply(self.pipe, strategies_of(self.model)[name])
            self.applied = name
        except StrategyError:
            self.applied = None
            assert self.expected(name, 0) is None

    @rule()
    def remove(self) -> None:
        accel.remove(self.pipe)
        self.applied = None

    @rule(seed=SEEDS)
    def generate(self, seed: int) -> None:
        check(lambda: draw(self.pipe, seed=seed), self.expected(self.applied, seed))

    @precondition(lambda self: len(self.changed) < 3)
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        fitting = [n for n, c in CHANGED.items() if n not in self.changed and c.fits(self.pipe)]
        if any(name in self.changed for name in (*ADAPTERS, *LAST_ONLY)):
            fitting = [name for name in fitting if name not in (*ADAPTERS, *LAST_ONLY)]
        if fitting:
            name = data.draw(st.sampled_from(fitting))
            CHANGED[name].on(self.pipe)
            self.changed.append(name)

    @precondition(lambda self: self.changed)
    @rule()
    def change_back(self) -> None:
        name = self.changed.pop()
        off = CHANGED[name].off
        assert off is not None
        off(self.pipe)

    @precondition(lambda self: not self.changed)
    @rule()
    def go_on_with_a_copy(self) -> None:
        self.pipe, self.applied = copy.deepcopy(self.pipe), None
        self.other = None

    @precondition(lambda self: not self.changed)
    @rule()
    def replace_the_network(self) -> None:
        part = "unet" if hasattr(self.pipe, "unet") else "transformer"
        setattr(self.pipe, part, network(build(self.model)))
        self.other = None

    @precondition(lambda self: not self.changed)
    @rule(data=st.data())
    def share(self, data: st.DataObject) -> None:
        self.other = copy.copy(self.pipe)
        for name in ("progress_bar", "maybe_free_model_hooks"):
            vars(self.other).pop(name, None)
        self.other.scheduler = copy.deepcopy(self.pipe.scheduler)
        self.others = data.draw(st.sampled_from([None, *strategies_of(self.model)]))
        if self.others is not None:
            accel.apply(self.other, strategies_of(self.model)[self.others])

    @precondition(lambda self: self.other is not None)
    @rule(seed=SEEDS)
    def generate_with_the_other(self, seed: int) -> None:
        check(lambda: draw(self.other, seed=seed), self.expected(self.others, seed))

    @rule(call=st.integers(0, 4))
    def fail_in_the_middle(self, call: int) -> None:
        def stop(pipe: Any, step: int, *_: Any) -> dict[str, Any]:
            if step == call:
                raise InterruptedError
            return {}

        if self.model == "dit":  # Its pipeline calls nobody back.
            return
        with pytest.raises((InterruptedError, StrategyError)):
            draw(self.pipe, seed=3, callback_on_step_end=stop)

    def expected(self, name: str | None, seed: int) -> torch.Tensor | None:
        """The image of a fresh pipeline in the same state, or None where it refuses."""
        state = tuple(self.changed)
        key = (self.model, name, state, seed)
        if key not in FOUND:
            pipe = build(self.model)
            for change in state:
                CHANGED[change].on(pipe)
            try:
                if name is not None:
                    accel.apply(pipe, strategies_of(self.model)[name])
                FOUND[key] = draw(pipe, seed=seed)
            except StrategyError:
                FOUND[key] = None
        return FOUND[key]

    def teardown(self) -> None:
        if hasattr(self, "pipe"):
            accel.remove(self.pipe)
            bare = self.expected(None, 0)
            assert bare is not None
            assert torch.equal(draw(self.pipe, seed=0), bare)


def check(draws: Callable[[], torch.Tensor], expected: torch.Tensor | None) -> None:
    if expected is None:
        with pytest.raises(StrategyError):
            draws()
    else:
        assert torch.equal(draws(), expected)


def sequences(model: str, count: int) -> None:
    machine = type("Machine", (Pipelines,), {"model": model})
    case = machine.TestCase  # type: ignore[attr-defined]
    case.settings = settings(
        max_examples=count,
        stateful_step_count=10,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    case("runTest").runTest()


@pytest.mark.parametrize("model", ["sd1", "dit", "sd3"])
def test_any_order(model: str) -> None:
    sequences(model, 3)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["sd1", "dit", "sd3", "flux"])
def test_any_order_at_length(model: str) -> None:
    sequences(model, 500)


def test_changes_can_be_told_apart() -> None:
    """A change that did nothing would prove nothing."""
    for name in ("adapter", "FreeU", "other weights"):
        change: Change = CHANGED[name]
        pipe = build("sd1")
        plain = draw(pipe)
        change.on(pipe)
        assert not torch.equal(draw(pipe), plain)
