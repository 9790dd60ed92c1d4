"""Every method on a GPU: laws in half precision, the CPU's latents, what waits and what is kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch

import accel
from tests.support.pipelines import (
    law_cases,
    method_cases,
    transformer_pipelines,
    unet_pipelines,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

PAIRS = [(model, name) for model in unet_pipelines.MODELS for name in method_cases.ALL]
PAIRS += [tuple(one.values) for one in law_cases.cases(0)]
EVERY = pytest.mark.parametrize(("model", "name"), PAIRS)


@dataclass
class Case:
    """A tiny pipeline of a topology, strategies for it, and how it draws."""

    pipe: Any
    neutral: Any
    strong: Any
    draw: Callable[[Any], torch.Tensor]


def case(model: str, name: str, dtype: torch.dtype, device: str = "cuda") -> Case:
    if model in unet_pipelines.MODELS:
        pipe, draw = unet_pipelines.build(model), unet_pipelines.draw
        plans = [
            unet_pipelines.strategy(one)
            for one in (method_cases.neutral(name), method_cases.ALL[name])
        ]
    else:
        pipe, draw = transformer_pipelines.build(model), transformer_pipelines.draw
        methods = transformer_pipelines.neutral(name), transformer_pipelines.ALL[name]
        plans = [transformer_pipelines.strategy(model, one) for one in methods]
    neutral, strong = plans
    return Case(pipe.to(device, dtype), neutral, strong, draw)


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Convolutions in the precision that was asked for, by algorithms that repeat."""
    with torch.backends.cudnn.flags(allow_tf32=False, deterministic=True, benchmark=False):
        yield


@EVERY
def test_laws_in_half_precision(model: str, name: str) -> None:
    one = case(model, name, torch.float16)
    plain = one.draw(one.pipe)
    with accel.accelerated(one.pipe, one.neutral):
        assert torch.equal(one.draw(one.pipe), plain)
    with accel.accelerated(one.pipe, one.strong):
        first, again = one.draw(one.pipe), one.draw(one.pipe)
    assert first.dtype == torch.float16
    assert first.isfinite().all()
    assert torch.equal(first, again)
    assert not torch.equal(first, plain)
    assert torch.equal(one.draw(one.pipe), plain)


@EVERY
def test_latents_are_those_of_the_cpu(model: str, name: str) -> None:
    plain, found = [], []
    for device in ("cpu", "cuda"):
        one = case(model, name, torch.float32, device)
        plain.append(one.draw(one.pipe).double().cpu())
        with accel.accelerated(one.pipe, one.strong):
            found.append(one.draw(one.pipe).double().cpu())
    assert distance(*found) <= 0.01 + 20 * distance(*plain)


def distance(here: torch.Tensor, there: torch.Tensor) -> float:
    return float((here - there).norm() / here.norm())


@EVERY
def test_nothing_waits_that_the_unmodified_pipeline_does_not(model: str, name: str) -> None:
    one = case(model, name, torch.float16)
    most = waits(one)
    with accel.accelerated(one.pipe, one.strong):
        one.draw(one.pipe)
        found = waits(one)
    # The pipeline of DiT copies its timesteps, which are found again; FLUX's grid is in its ids.
    known = {"dit": unet_pipelines.STEPS + 1, "flux": 1}.get(model, 0)
    if "catome" in one.strong.methods:  # How many pairs pass its threshold depends on the image.
        assert found > most
    else:
        assert found <= most + known


def waits(one: Case) -> int:
    """How often torch warns that a generation waits for the GPU."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            one.draw(one.pipe)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


@EVERY
def test_memory_is_freed(model: str, name: str) -> None:
    one = case(model, name, torch.float16)
    with accel.accelerated(one.pipe, one.strong):
        one.draw(one.pipe)
        before = torch.cuda.memory_allocated()
        one.draw(one.pipe)
        assert torch.cuda.memory_allocated() <= before
