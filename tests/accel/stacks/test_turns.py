"""Latte, whose spatial and temporal blocks run in turns, on tokens in two orders."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch

import accel
from accel import families
from benchmarks.work.transformer_stacks import NEAR, Loop, strategy
from strategies import StrategyError
from tests.accel.laws.test_transformer_laws import attributes, traces
from tests.support.pipelines import stack_pipelines as stacks
from tests.support.stacks.more_stacks import LATTE

# Fronts and tails that begin and end with blocks of either list, of four.
STRETCHES = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (3, 0), (1, 2)]


@pytest.mark.parametrize(("depth", "tail"), STRETCHES)
def test_the_same_input_gives_the_same_prediction(depth: int, tail: int) -> None:
    torch.manual_seed(0)
    model = stacks.lively(diffusers.LatteTransformer3DModel(**LATTE))
    given = {
        "hidden_states": torch.randn(2, 4, 3, 8, 4),
        "encoder_hidden_states": torch.randn(2, 5, 24),
        "timestep": torch.tensor([500, 500]),
    }
    pipe = Loop(model, "")
    pipe.rows = 2
    plain = pipe.draw(given)
    knobs = {"depth": ["full", depth, "full", depth], "tail": [0, tail, 0, tail]}
    accel.apply(pipe, strategy(pipe, {"deltacache": knobs}))
    for mine, full in zip(pipe.draw(given), plain, strict=True):
        assert (mine - full).norm() < NEAR * full.norm()
    assert [len(one.ran) for one in accel.stats(pipe)] == [4, depth + tail] * 2


def test_laws() -> None:
    pipe = stacks.build("latte")
    knobs: dict[str, Any] = {"depth": ["full", 1, "skip", "full", 0, 1], "tail": [0, 1, 0, 0, 0, 2]}
    plain, before = stacks.draw(pipe, "latte"), attributes(pipe)
    accel.apply(pipe, stacks.strategy("latte", {"deltacache": {"depth": "full"}}))
    assert torch.equal(stacks.draw(pipe, "latte"), plain)
    accel.apply(
        pipe, stacks.strategy("latte", {"deltacache": knobs | {"order": [0] * 4 + [1] * 2}})
    )
    mine = stacks.draw(pipe, "latte")
    assert [len(one.ran) for one in accel.stats(pipe)] == [4, 2, 0, 4, 0, 3]
    assert not torch.equal(mine, plain)
    together = stacks.draw(pipe, "latte", batch=2)
    assert torch.equal(stacks.draw(pipe, "latte"), mine)
    for index in range(2):
        alone = stacks.draw(pipe, "latte", seed=index)
        assert (together[index : index + 1] - alone).norm() / alone.norm() < 1e-3
    accel.remove(pipe)
    assert traces(pipe) == []
    assert attributes(pipe) == before
    assert torch.equal(stacks.draw(pipe, "latte"), plain)


def test_a_block_that_is_taken_out_of_either_list_is_noticed() -> None:
    for name in ("transformer_blocks", "temporal_transformer_blocks"):
        pipe = stacks.build("latte")
        knobs = {"depth": ["full", 3, 3, 3, 3, 3]}
        accel.apply(pipe, stacks.strategy("latte", {"deltacache": knobs}))
        setattr(pipe.transformer, name, getattr(pipe.transformer, name)[:1])
        with pytest.raises(StrategyError, match="has 2 blocks"):
            stacks.draw(pipe, "latte")
        assert families.find_sites(pipe)[0] == "transformer"
