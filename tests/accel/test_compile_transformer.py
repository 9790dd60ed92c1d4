"""A transformer compiled as a whole: graphs for kinds of call, however many calls there are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

import accel
from tests.support.pipelines.transformer_pipelines import build, draw, strategy
from tests.support.pipelines.unet_pipelines import STEPS

ALPHA = [1.0, 1.0, 0.5, 0.25, 0.5, 0.25]
# Methods -> kinds of call. A narrowed call is one, whose keys are kept or not, of any number of
# tokens, but for the first such number, which is compiled by itself; a full call keeps or not.
KINDS: list[tuple[dict[str, Any], int]] = [
    ({}, 1),
    ({"fora": {"attn": [True, False, False] * 2, "mlp": [True, False, True] * 2}}, 3),
    ({"cat": {"alpha": ALPHA, "clusters": 5}}, 5),
    ({"atedm": {"alpha": ALPHA}}, 5),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "methods", "kinds"),
    [(model, *kind) for model in ("pixart", "sd3", "flux") for kind in KINDS],
)
def test_graphs_do_not_grow_with_calls(model: str, methods: dict[str, Any], kinds: int) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    # The fewest layers that have a first, a last and, in FLUX, both lists: all are traced.
    few = {"num_layers": 1, "num_single_layers": 1} if model == "flux" else {"num_layers": 2}
    pipe = build(model, **few)
    accel.apply(pipe, strategy(model, methods))
    plain = draw(pipe)
    counter = CompileCounterWithBackend("eager")
    pipe.transformer.compile(backend=counter)
    torch.testing.assert_close(draw(pipe), plain, rtol=1e-3, atol=1e-3)
    first = counter.frame_count
    draw(pipe)
    assert counter.frame_count == first <= kinds
    assert sum(torch._dynamo.utils.counters["graph_break"].values()) == 0
    accel.apply(pipe, strategy(model, methods).resample(calls=STEPS + 3))
    draw(pipe, STEPS + 3)
    assert counter.frame_count <= first + kinds
