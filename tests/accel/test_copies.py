"""Copies of tiny pipelines are pipelines of their own, as deep copies are."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.copies import copied, tensors
from tests.support.pipelines import stack_pipelines, transformer_pipelines, unet_pipelines

BUILT: dict[str, Any] = {
    "sd1": lambda: unet_pipelines._built("sd1", "text2img"),
    "sdxl": lambda: unet_pipelines._built("sdxl", "text2img"),
    "pixart": lambda: transformer_pipelines._built("pixart"),
    "flux": lambda: transformer_pipelines._built("flux"),
    "wan22": lambda: stack_pipelines._built("wan22", 0),
}


def addresses(pipe: Any) -> set[int]:
    return {one.data_ptr() for one in tensors(pipe) if one.numel()}


def modules(pipe: Any) -> dict[str, nn.Module]:
    parts = {name: part for name, part in vars(pipe).items() if isinstance(part, nn.Module)}
    return {f"{n}.{inner}": m for n, part in parts.items() for inner, m in part.named_modules()}


@pytest.mark.parametrize("name", BUILT)
def test_a_copy_equals_a_deep_copy_and_shares_nothing(name: str) -> None:
    pipe = BUILT[name]()
    mine, deep = copied(pipe), copy.deepcopy(pipe)
    assert not addresses(mine) & addresses(pipe)
    assert len(addresses(mine)) == len(addresses(deep))  # Tied weights stay tied.
    assert all(map(torch.equal, tensors(mine), tensors(deep)))
    first, second, third = modules(pipe), modules(mine), modules(deep)
    assert list(second) == list(third)
    for name, module in second.items():
        assert type(module) is type(third[name])
        assert vars(module).keys() == vars(third[name]).keys()
        for key, value in vars(module).items():
            if isinstance(value, dict | list | set):
                assert value is not vars(first[name])[key]
    assert mine.scheduler is not pipe.scheduler
