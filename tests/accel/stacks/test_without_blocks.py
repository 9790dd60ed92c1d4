"""Models without blocks to leave out are refused by one line, and left as they were."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

import accel
from strategies import StrategyError
from tests.accel.laws.test_transformer_laws import traces
from tests.support.pipelines import stack_pipelines, transformer_pipelines

REUSED: dict[str, Any] = {"deltacache": {"depth": ["full", 0, 0, 0, 0, 0]}}


def test_a_transformer_whose_lists_are_empty() -> None:
    pipe = stack_pipelines.build("qwen")
    pipe.transformer.transformer_blocks = nn.ModuleList()
    with pytest.raises(StrategyError, match="QwenImagePipeline has no supported denoiser") as told:
        accel.apply(pipe, stack_pipelines.strategy("qwen", REUSED))
    assert "\n" not in str(told.value)
    assert traces(pipe) == []


def test_a_model_of_an_older_family_whose_list_is_empty() -> None:
    pipe = transformer_pipelines.build("pixart")
    pipe.transformer.transformer_blocks = nn.ModuleList()
    with pytest.raises(
        StrategyError, match=r"needs lists of blocks .* take methods\.deltacache out"
    ):
        accel.apply(pipe, transformer_pipelines.strategy("pixart", REUSED))
    assert traces(pipe) == []


def test_a_list_that_is_emptied_after_apply() -> None:
    pipe = stack_pipelines.build("wan")
    accel.apply(pipe, stack_pipelines.strategy("wan", REUSED))
    pipe.transformer.blocks = nn.ModuleList()
    with pytest.raises(StrategyError, match="no supported denoiser"):
        stack_pipelines.draw(pipe, "wan")
