"""A transformer compiled as a whole: graphs for kinds of call, however many calls there are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

import accel
from tests.transformers import build, draw, strategy

FORA = {"fora": {"attn": [True, False, False] * 2, "mlp": [True, False, True] * 2}}
CAT = {"cat": {"alpha": [1.0, 1.0, 0.5, 0.25, 0.5, 0.25], "clusters": 5}}
ATEDM = {"atedm": CAT["cat"] | {}}


def counted(model: str, methods: dict[str, Any]) -> tuple[int, int]:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    pipe = build(model)
    accel.apply(pipe, strategy(model, methods))
    plain = draw(pipe)
    counter = CompileCounterWithBackend("eager")
    pipe.transformer.compile(backend=counter)
    torch.testing.assert_close(draw(pipe), plain, rtol=1e-3, atol=1e-3)
    first = counter.frame_count
    draw(pipe)
    breaks = torch._dynamo.utils.counters["graph_break"]
    print(model, list(methods), first, counter.frame_count, dict(breaks))
    return first, counter.frame_count


@pytest.mark.parametrize("model", ["pixart", "sd3", "flux"])
@pytest.mark.parametrize("methods", [{}, FORA, CAT])
def test_x(model, methods):
    counted(model, methods)
