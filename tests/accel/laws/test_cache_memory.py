"""Law 8: caches hold only what a later call reads, and are freed when the generation is over."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch

import accel
from accel.caching.deep_features import DeepFeatures
from accel.caching.extrapolation import extrapolate, features_needed_later
from accel.clock import CallListener
from accel.registry import applied_strategy
from tests.support.pipelines.law_cases import law, laws
from tests.support.pipelines.method_cases import ALL
from tests.support.pipelines.unet_pipelines import build, draw, strategy


def tensors() -> set[int]:
    gc.collect()
    return {id(o) for o in gc.get_objects() if isinstance(o, torch.Tensor) and o.numel() > 64}


@law(8)
@pytest.mark.parametrize("name", laws(0))
def test_caches_are_freed(name: str) -> None:
    """No feature map that a generation made is alive when it is over."""
    pipe = build("sd1")
    draw(pipe)
    accel.apply(pipe, strategy(ALL[name]))
    before = tensors()
    draw(pipe)
    assert tensors() - before == set()


def test_a_generation_that_stops_early_frees_too(pipe: Any) -> None:
    """As SDXL's base model does with `denoising_end`: the last call of the schedule never comes."""
    accel.apply(pipe, strategy({"deepcache": {"depth": 1}}))
    before = tensors()

    def stop(pipe: Any, step: int, *_: Any) -> dict[str, Any]:
        pipe._interrupt = step >= 2
        return {}

    draw(pipe, callback_on_step_end=stop)
    assert len(accel.stats(pipe)) == 3
    assert tensors() - before == set()


def listeners(pipe: Any) -> list[CallListener]:
    sampler = applied_strategy(pipe)
    assert sampler is not None
    return sampler._clock.listeners


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({"depth": ["full", 1, 3, "full", 3, 3]}, [2, 1, 0, 1, 1, 0]),
        ({"depth": ["full", "full", "full", 1, 1, "full"], "order": 2}, [1, 2, 3, 3, 0, 0]),
        (
            {"depth": ["full", "full", 1, "full", 1, 1], "order": [0, 0, 1, 0, 0, 0]},
            [1, 2, 0, 1, 1, 0],
        ),
    ],
)
def test_only_what_is_read_is_kept(pipe: Any, knobs: Any, expected: list[int]) -> None:
    """One feature per depth that a later call reads, or as many as its order needs."""
    accel.apply(pipe, strategy({"deepcache": knobs}))
    (features,) = [one for one in listeners(pipe) if isinstance(one, DeepFeatures)]
    alive: list[int] = []

    def look(*_: Any) -> dict[str, Any]:
        alive.append(sum(len(history) for history in features.kept.values()))
        return {}

    draw(pipe, callback_on_step_end=look)
    assert alive == expected


def test_reuse_keeps_what_the_next_call_reads(pipe: Any) -> None:
    from accel.caching.cached_output import CachedOutput

    accel.apply(pipe, strategy({"blockcache": {"refresh": {"mid_block.attentions.0": [0, 2, 3]}}}))
    (place,) = [one for one in listeners(pipe) if isinstance(one, CachedOutput)]
    alive: list[int] = []

    def look(*_: Any) -> dict[str, Any]:
        alive.append(len(place._kept))
        return {}

    draw(pipe, callback_on_step_end=look)
    assert alive == [1, 0, 0, 1, 1, 0]


def test_what_needs_says() -> None:
    assert features_needed_later(["full", 1, 0, "full"], [0] * 4) == [{1: 1}, {0: 1}, {}, {}]
    assert features_needed_later(["full", "full", 2, 1], [0, 0, 1, 2]) == [
        {2: 1, 1: 1},
        {2: 2, 1: 2},
        {1: 3},
        {},
    ]


def test_extrapolation_is_exact_on_polynomials() -> None:
    def history(calls: list[int], power: int) -> list[tuple[int, torch.Tensor]]:
        return [(call, torch.full((1, 2), float(call**power))) for call in calls]

    assert extrapolate(history([1, 4], 1), 9, 0).tolist() == [[4.0, 4.0]]
    assert extrapolate(history([0, 1, 4], 1), 9, 1).tolist() == [[9.0, 9.0]]
    torch.testing.assert_close(extrapolate(history([0, 1, 4], 2), 9, 2), torch.full((1, 2), 81.0))
    # With too few features the order is what they allow.
    assert extrapolate(history([4], 2), 9, 2).tolist() == [[16.0, 16.0]]
