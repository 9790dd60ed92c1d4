"""Laws of every UNet method where only every second level has attention, as in tiny-portraits."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import accel
from tests.support.pipelines.method_cases import ALL, neutral
from tests.support.pipelines.unet_pipelines import build, draw, fresh, once, strategy

MODEL = "portraits"
NAMES = [pytest.param(name, marks=[] if "+" not in name else [pytest.mark.slow]) for name in ALL]
REFRESH = {"down_blocks.2.attentions.0": [0, 2, 4], "up_blocks.3.attentions.1": [0, 3]}


@pytest.fixture
def pipe() -> Any:
    return build(MODEL)


def methods(name: str) -> dict[str, Any]:
    """Methods of a case, with blocks that this model has."""
    return ALL[name] | ({"blockcache": {"refresh": REFRESH}} if "blockcache" in ALL[name] else {})


@pytest.mark.parametrize("name", NAMES)
def test_strategies_are_applied_and_removed(pipe: Any, name: str) -> None:
    """Neutral settings change no bit, others do, and nothing stays behind."""
    plain = fresh(model=MODEL)
    accel.apply(pipe, strategy(neutral(name)))
    assert torch.equal(draw(pipe), plain)
    accel.apply(pipe, strategy(methods(name)))
    first = draw(pipe)
    assert torch.isfinite(first).all()
    assert not torch.equal(first, plain)
    assert torch.equal(draw(pipe), first)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_images(pipe: Any, name: str) -> None:
    pipe.to(dtype=torch.float64)  # Or choices of tokens between near ties flip on rounding.
    accel.apply(pipe, strategy(methods(name)))
    prompts = ["a large red circle", "a small blue ring above a small red cross"]
    seeds = [torch.Generator().manual_seed(number) for number in range(2)]
    together = draw(pipe, prompt=prompts, generator=seeds)
    for index, prompt in enumerate(prompts):
        alone = draw(pipe, prompt=prompt, seed=index)
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "size"), once(["tome", "dato", "catome"], [(24, 40), (56, 72)]))
def test_sizes_that_are_not_square(pipe: Any, name: str, size: tuple[int, int]) -> None:
    accel.apply(pipe, strategy(methods(name)))
    mine = draw(pipe, height=size[0], width=size[1])
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, fresh(model=MODEL, height=size[0], width=size[1]))
