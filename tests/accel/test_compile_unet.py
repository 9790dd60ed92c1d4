"""A UNet compiled as a whole: one graph per kind of call, however many calls there are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

import accel
from tests.support.pipelines.method_cases import REFRESH
from tests.support.pipelines.unet_pipelines import STEPS, build, draw, strategy

DEPTH = {"deepcache": {"depth": ["full", 1, 1, "full", 1, 1], "order": 1}}
# Methods -> kinds of call: full, each depth, each ratio, what is reused.
KINDS: list[tuple[dict[str, Any], int]] = [
    ({}, 1),
    (DEPTH, 2),
    ({"dato": {"ratio": [0.0, 0.5, 0.5] * 2}}, 2),
    ({"tome": {"ratio": [0.5, 0.25, 0.0] * 2}}, 3),
    ({"tgate": {"gate": 3, "self_interval": 2}}, 4),
    ({"blockcache": {"refresh": REFRESH}}, 6),
]


@pytest.mark.parametrize(
    ("model", "methods", "kinds"),
    [("two", DEPTH, 2), *(pytest.param("sd1", *one, marks=pytest.mark.slow) for one in KINDS)],
)
def test_graphs_do_not_grow_with_calls(model: str, methods: dict[str, Any], kinds: int) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    pipe = build(model)
    accel.apply(pipe, strategy(methods))
    plain = draw(pipe)
    counter = CompileCounterWithBackend("eager")
    pipe.unet.compile(backend=counter)
    torch.testing.assert_close(draw(pipe), plain)
    first = counter.frame_count
    draw(pipe)
    assert counter.frame_count == first <= kinds
    assert sum(torch._dynamo.utils.counters["graph_break"].values()) == 0
    accel.apply(pipe, strategy(methods).resample(calls=STEPS + 3))
    draw(pipe, STEPS + 3)
    assert counter.frame_count <= first + kinds


def test_torch_compiles_wrapper_is_looked_into() -> None:
    torch._dynamo.reset()
    pipe = build("two")
    accel.apply(pipe, strategy({"deepcache": {"depth": 1}}))
    expected = draw(pipe)
    accel.remove(pipe)
    pipe.unet = torch.compile(pipe.unet, backend="eager")
    accel.apply(pipe, strategy({"deepcache": {"depth": 1}}))
    torch.testing.assert_close(draw(pipe), expected)
    assert [record.depth for record in accel.stats(pipe)] == ["full", 1, 1, 1, 1, 1]
    accel.remove(pipe)
