"""Of equal embedders in DiT's blocks one runs in a call, and images do not change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

import accel
from accel import embedding
from tests.pipes import STEPS
from tests.transformers import ALL, build, draw, strategy

USERS = ("fora", "toca")


def embedders(pipe: Any) -> list[Any]:
    return [block.norm1.emb for block in pipe.transformer.transformer_blocks]


def drawn(pipe: Any, name: str) -> tuple[torch.Tensor, Counter[int]]:
    """Latents, and how often each embedder ran."""
    ran: Counter[int] = Counter()
    hooks = [
        one.timestep_embedder.register_forward_pre_hook(lambda *_, i=i: ran.update([i]))
        for i, one in enumerate(embedders(pipe))
    ]
    try:
        with accel.accelerated(pipe, strategy("dit", ALL[name])):
            latents = draw(pipe)
    finally:
        for hook in hooks:
            hook.remove()
    return latents, ran


@pytest.mark.parametrize("name", USERS)
def test_one_runs_in_a_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = build("dit")
    found, ran = drawn(pipe, name)
    assert ran == {0: STEPS}
    monkeypatch.setattr(embedding, "equal", lambda one, other: False)
    plain, all_ran = drawn(pipe, name)
    assert torch.equal(found, plain)
    assert all_ran == {0: 2 * STEPS, 1: STEPS, 2: STEPS}


@pytest.mark.parametrize("name", USERS)
def test_another_one_runs_for_itself(name: str) -> None:
    pipe = build("dit")
    with torch.no_grad():
        embedders(pipe)[1].timestep_embedder.linear_2.bias += 1
    found, ran = drawn(pipe, name)
    assert ran == {0: STEPS, 1: STEPS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "equal", lambda one, other: False)
        assert torch.equal(found, drawn(pipe, name)[0])


def test_weights_that_are_elsewhere_or_of_another_kind_are_not_equal() -> None:
    one, other = embedders(build("dit"))[:2]
    assert embedding.equal(one, other)
    assert not embedding.equal(one, other.to("meta"))
    assert not embedding.equal(one, embedders(build("dit"))[0].half())
    assert not embedding.equal(one, torch.nn.Linear(2, 2))


def test_every_generation_embeds_anew() -> None:
    pipe = build("dit")
    with accel.accelerated(pipe, strategy("dit", ALL["fora"])):
        first, other = draw(pipe), draw(pipe, seed=1)
        again = draw(pipe)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
