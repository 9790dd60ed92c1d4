"""FORA on pipelines of the family `transformer`, alone and with other methods."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import accel
from accel import families
from accel.families.source_calls import calls
from strategies import StrategyError
from tests.support.pipelines.law_cases import case, law
from tests.support.pipelines.stack_pipelines import PIPES, STEPS, build, draw, strategy
from tests.support.pipelines.unet_pipelines import spread

COMPUTED = [True, False, False, True, False, False]
STRONG = {"fora": {"attn": COMPUTED, "cross": COMPUTED, "mlp": COMPUTED, "order": 1}}
JOINT: dict[str, dict[str, Any]] = {
    "deltacache": {"deltacache": {"depth": ["full", "full", 0, "full", "full", 1]}},
    "guidance": {"guidance": {"mode": ["full", "full", "off", "reuse", "full", "off"]}},
}
ATTENTION_ALONE = ("cogview4",)  # Its feed-forward runs twice in a pass.


def methods(name: str) -> dict[str, Any]:
    if name not in ATTENTION_ALONE:
        return STRONG
    return {"fora": {"attn": COMPUTED, "order": 1}}


@law(5)
@case("transformer", ["fora"])
@pytest.mark.parametrize(("name", "_"), spread(PIPES, [0], every=3))
def test_laws(name: str, _: int) -> None:
    pipe = build(name)
    plain = draw(pipe, name)
    accel.apply(pipe, strategy(name, {"fora": {"attn": True, "order": 2}}))
    assert torch.equal(draw(pipe, name), plain)
    accel.apply(pipe, strategy(name, methods(name)))
    mine = draw(pipe, name)
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)
    parts = {part.name for part in families.find_sites(pipe)[1].parts}
    if name != "wan22":
        for record in accel.stats(pipe):
            assert set(record.reused) == (set() if COMPUTED[record.call] else parts)
    assert torch.equal(draw(pipe, name), mine)
    draw(pipe, name, seed=3, batch=2)
    assert torch.equal(draw(pipe, name), mine)
    together = draw(pipe, name, batch=2)
    for index in range(2):
        alone = draw(pipe, name, seed=index)
        assert (together[index : index + 1] - alone).norm() / alone.norm() < 1e-3
    accel.remove(pipe)
    assert torch.equal(draw(pipe, name), plain)


@pytest.mark.parametrize("name", ["qwen", "flux2", "z-image", "wan", "sana", "chroma"])
@pytest.mark.parametrize("other", JOINT)
def test_with_another_method(name: str, other: str) -> None:
    pipe = build(name)
    accel.apply(pipe, strategy(name, methods(name) | JOINT[other]))
    mine = draw(pipe, name)
    assert torch.isfinite(mine).all()
    assert torch.equal(draw(pipe, name), mine)
    together = draw(pipe, name, batch=2)
    alone = draw(pipe, name, seed=1)
    assert (together[1:] - alone).norm() / alone.norm() < 1e-3


def test_parts_that_run_twice_are_left_alone() -> None:
    pipe = build("cogview4")
    with pytest.raises(StrategyError, match=r"fora\.mlp is false .* has no such part") as told:
        accel.apply(pipe, strategy("cogview4", STRONG))
    assert "\n" not in str(told.value)
    knobs = {"fora": {"attn": [[True], *[[True]] * (STEPS - 1)], "mlp": True}}
    accel.apply(pipe, strategy("cogview4", knobs))


class Block(torch.nn.Module):
    """Calls in branches, in loops and inside each other."""

    attn: torch.nn.Module
    ff: torch.nn.Module
    cross_attn: torch.nn.Module
    norm: torch.nn.Module
    act_mlp: torch.nn.Module
    proj_mlp: torch.nn.Module

    def forward(self, x: Any, twice: bool = False) -> Any:
        one = self.attn(x) if twice else self.attn(-x)
        one = self.ff(one) if twice else self.ff(self.ff(one))
        left, right = self.cross_attn(one)
        for _ in range(2):
            right = self.norm(right)
        return self.act_mlp(self.proj_mlp(left)) + right


def test_calls_are_counted_by_the_ways_through_a_forward() -> None:
    found = calls(Block)
    most = {name: one.most for name, one in found.items()}
    assert (most["attn"], most["ff"], most["cross_attn"], most["norm"]) == (1, 2, 1, 2)
    assert found["attn"].single
    assert not found["cross_attn"].single
    assert found["proj_mlp"].inside == "act_mlp"
