"""The laws of methods that select tokens, on pipelines of the family `transformer`."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import accel
from accel import families
from strategies import StrategyError
from tests.accel.laws.test_stack_laws import fail, tensors
from tests.accel.laws.test_transformer_laws import attributes, traces
from tests.support.pipelines.law_cases import case, law
from tests.support.pipelines.stack_pipelines import PIPES, build, draw, strategy
from tests.support.stacks.token_cases import METHODS, RATIO, SHARES, TOKENS

DEFAULT = {
    *(("flux2", "atedm"), ("flux2-klein", "toca-attention"), ("qwen", "cat")),
    *(("chroma", "toca"), ("wan", "toca-attention"), ("wan22", "cat"), ("auraflow", "atedm")),
}
JOINT: dict[str, dict[str, Any]] = {
    "deltacache": {"deltacache": {"depth": ["full", "full", "full", 0, 1, "full"]}},
    "guidance": {"guidance": {"mode": ["full", "full", "off", "full", "reuse", "full"]}},
    "fora": {"fora": {"attn": [True, True, True, True, False, True]}},
}


def pair(name: str, method: str, *more: str, default: bool = False) -> Any:
    together = METHODS[method] | (JOINT[more[0]] if more else {})
    marks = [case("transformer", together)]
    marks += [] if default or (name, method, *more) in DEFAULT else [pytest.mark.slow]
    return pytest.param(name, method, *more, marks=marks, id="-".join((name, method, *more)))


@law(1)
@law(2)
@law(3)
@law(4)
@law(6)
@law(8)
@law(9)
@pytest.mark.parametrize(("name", "method"), [pair(n, m) for n in TOKENS for m in METHODS])
def test_laws(name: str, method: str) -> None:
    pipe = build(name)
    plain, before = draw(pipe, name), attributes(pipe)
    held = tensors()
    neutral = {"toca": {"ratio": 1.0}} if "toca" in method else {method: {"alpha": 1.0}}
    accel.apply(pipe, strategy(name, neutral))
    assert torch.equal(draw(pipe, name), plain)
    accel.apply(pipe, strategy(name, METHODS[method]))
    mine = draw(pipe, name)
    assert tensors() == held + 1  # The result.
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)
    assert any(kept < total for one in accel.stats(pipe) for total, kept in one.tokens.values())
    draw(pipe, name, seed=3, batch=2)
    fail(pipe)
    assert torch.equal(draw(pipe, name), mine)
    together = draw(pipe, name, batch=2)
    for index in range(2):
        alone = draw(pipe, name, seed=index)
        assert (together[index : index + 1] - alone).norm() / alone.norm() < 1e-3
    accel.remove(pipe)
    assert traces(pipe) == []
    assert attributes(pipe) == before
    assert torch.equal(draw(pipe, name), plain)


@pytest.mark.parametrize(
    ("name", "method", "other"),
    [
        pair(n, m, other, default=(n, m, other) in {("qwen", "cat", "deltacache")})
        for n in TOKENS
        for m, other in (("cat", "deltacache"), ("toca", "guidance"), ("cat", "fora"))
        if (n, other) not in {("flux2", "guidance")}
    ],
)
def test_with_another_method(name: str, method: str, other: str) -> None:
    pipe = build(name)
    accel.apply(pipe, strategy(name, METHODS[method] | JOINT[other]))
    mine = draw(pipe, name)
    assert torch.isfinite(mine).all()
    draw(pipe, name, seed=5, batch=2)
    assert torch.equal(draw(pipe, name), mine)
    together = draw(pipe, name, batch=2)
    alone = draw(pipe, name, seed=1)
    assert (together[1:] - alone).norm() / alone.norm() < 1e-3


@law(5)
@pytest.mark.parametrize(
    ("name", "method"), [pair("wan", m, default=True) for m in ("cat", "atedm", "toca")]
)
def test_selected_tokens_alone_run(name: str, method: str) -> None:
    """By the tokens that linear maps get, not by what the sampler says of itself."""
    pipe = build(name)
    block = pipe.transformer.blocks[-1]
    seen: dict[str, list[int]] = {"attention": [], "feed-forward": []}
    for place, module in (("attention", block.attn1.to_q), ("feed-forward", block.ffn.net[0])):
        module.register_forward_pre_hook(
            lambda _, args, place=place: seen[place].append(args[0].shape[1])
        )
    accel.apply(pipe, strategy(name, METHODS[method]))
    draw(pipe, name)
    total = max(seen["attention"])
    if method == "toca":
        full = [total] * 2
        assert seen["attention"] == [total for ratio in RATIO if ratio == 1 for _ in full]
        assert seen["feed-forward"] == [int(r * total) for r in RATIO if r for _ in full]
        return
    wanted = [int(share * total) for share in SHARES for _ in range(2)]
    assert seen == {"attention": wanted, "feed-forward": wanted}


def test_other_models_are_refused_by_name() -> None:
    for name, tiny in PIPES.items():
        if name in TOKENS:
            continue
        pipe = build(name)
        if (
            families.find_sites(pipe)[1].stream is not None
        ):  # Refused only with what the call is given.
            continue
        with pytest.raises(StrategyError, match=rf"through {tiny.transformer}.*; take") as told:
            accel.apply(pipe, strategy(name, METHODS["cat"]))
        assert "\n" not in str(told.value)
        assert traces(pipe) == []


def test_calls_with_reference_images_are_refused() -> None:
    pipe = build("flux2-reference")
    for method in ("cat", "toca"):
        accel.apply(pipe, strategy("flux2-reference", METHODS[method]))
        with pytest.raises(StrategyError, match="one grid and no reference images"):
            draw(pipe, "flux2-reference")
    with pytest.raises(StrategyError, match="tokens of its reference images"):
        accel.apply(build("qwen", zero_cond_t=True), strategy("qwen", METHODS["cat"]))
