"""Law 7 on the family `transformer`: precisions, sizes, offloading, adapters and compilation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module, remove_hook_from_module
from peft import LoraConfig, inject_adapter_in_model
from torch._dynamo.testing import CompileCounterWithBackend

import accel
from accel import families
from accel.stack import numbered
from tests.accel.laws.test_stack_laws import FORA, GUIDANCE, LATER, STRONG
from tests.support.pipelines.law_cases import case, law
from tests.support.pipelines.stack_pipelines import PIPES, STEPS, build, draw, strategy
from tests.support.stacks.token_cases import METHODS, TOKENS, cast

PLAIN = {"deltacache": {"depth": "full", "order": 1}}
CASES: dict[str, dict[str, Any]] = {
    "deltacache": STRONG,
    "fora": FORA,
    "guidance+fora": GUIDANCE | FORA,
    "guidance+fora+deltacache": GUIDANCE | FORA | LATER,
    **{name: METHODS[name] for name in ("cat", "atedm", "toca")},
}
HALF = (torch.bfloat16, torch.float16)


def cases(chosen: set[tuple[str, str]]) -> pytest.MarkDecorator:
    """Every pipeline with every method that it takes; the chosen pairs by default."""
    found = []
    for name in PIPES:
        for method in CASES:
            if method in METHODS and name not in TOKENS:
                continue
            marks = [case("transformer", CASES[method])]
            marks += [] if (name, method) in chosen else [pytest.mark.slow]
            found.append(pytest.param(name, method, marks=marks, id=f"{name}-{method}"))
    return pytest.mark.parametrize(("name", "method"), found)


@law(7)
@cases({("qwen", "deltacache"), ("flux2-klein", "cat"), ("wan", "guidance+fora")})
def test_half_precision(name: str, method: str) -> None:
    if name.startswith("kandinsky5"):
        pytest.skip("diffusers casts its time embedding by the autocast of CUDA alone")
    dtype = HALF[(list(PIPES).index(name) + list(CASES).index(method)) % 2]
    pipe = build(name).to(dtype=dtype)
    given = cast(name, dtype)
    plain = draw(pipe, name, **given)
    accel.apply(pipe, strategy(name, PLAIN))
    assert torch.equal(draw(pipe, name, **given), plain)
    accel.apply(pipe, strategy(name, CASES[method]))
    mine = draw(pipe, name, **given)
    assert mine.dtype == plain.dtype
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)
    assert torch.equal(draw(pipe, name, **given), mine)
    accel.remove(pipe)
    assert torch.equal(draw(pipe, name, **given), plain)


@law(7)
@cases({("flux2", "atedm"), ("qwen", "toca"), ("z-image", "guidance+fora+deltacache")})
def test_sizes_that_are_not_square(name: str, method: str) -> None:
    pipe = build(name)
    sizes = [{"height": 64, "width": 128}, {"height": 128, "width": 64}]
    plain = [draw(pipe, name, **size) for size in sizes]
    accel.apply(pipe, strategy(name, CASES[method]))
    first = [draw(pipe, name, **size) for size in sizes]
    again = [draw(pipe, name, **size) for size in sizes]
    for mine, same, other in zip(first, again, plain, strict=True):
        assert mine.shape == other.shape
        assert torch.isfinite(mine).all()
        assert torch.equal(mine, same)
        assert not torch.equal(mine, other)


@law(7)
@cases({("flux2", "cat")})
def test_offload_hooks(name: str, method: str) -> None:
    """accelerate's hooks, which CPU offload is made of, before and after a strategy."""
    pipe = build(name)
    plain = draw(pipe, name)
    one = strategy(name, CASES[method])
    with accel.accelerated(pipe, one):
        expected = draw(pipe, name)
    blocks = numbered(families.find_sites(pipe)[1].stack)
    inner = next(m for m in blocks[0].module.modules() if isinstance(m, torch.nn.Linear))
    modules = [pipe.transformer, blocks[0].module, blocks[-1].module, inner]
    for first in ("hooks", "strategy"):
        if first == "strategy":
            accel.apply(pipe, one)
        for module in modules:
            add_hook_to_module(module, AlignDevicesHook(execution_device="cpu"))
        if first == "hooks":
            accel.apply(pipe, one)
        assert torch.equal(draw(pipe, name), expected)
        accel.remove(pipe)
        assert torch.equal(draw(pipe, name), plain)
        for module in modules:
            remove_hook_from_module(module)
        assert torch.equal(draw(pipe, name), plain)


@law(7)
@cases({("auraflow", "toca")})
def test_lora(name: str, method: str) -> None:
    pipe = build(name)
    accel.apply(pipe, strategy(name, CASES[method]))
    without = draw(pipe, name)
    accel.remove(pipe)
    torch.manual_seed(0)
    blocks = [block.name for block in numbered(families.find_sites(pipe)[1].stack)]
    modules = pipe.transformer.named_modules()
    targets = [n for n, m in modules if isinstance(m, torch.nn.Linear) and n.startswith(blocks[0])]
    config = LoraConfig(r=2, init_lora_weights=False, target_modules=targets)
    inject_adapter_in_model(config, pipe.transformer)
    adapted = draw(pipe, name)
    accel.apply(pipe, strategy(name, PLAIN))
    assert torch.equal(draw(pipe, name), adapted)
    accel.apply(pipe, strategy(name, CASES[method]))
    mine = draw(pipe, name)
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, without)
    accel.remove(pipe)
    assert torch.equal(draw(pipe, name), adapted)


COMPILED = ("flux2", "qwen", "z-image", "wan", "chroma", "sana")


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("method", ["deltacache", "fora", "cat"])
def test_one_graph_for_each_kind_of_call(name: str, method: str) -> None:
    if method == "cat" and name not in TOKENS:
        return
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    pipe = build(name)
    one = strategy(name, KINDS[method][0])
    accel.apply(pipe, one)
    plain = draw(pipe, name)
    counter = CompileCounterWithBackend("eager")
    pipe.transformer.compile(backend=counter)
    torch.testing.assert_close(draw(pipe, name), plain, rtol=1e-3, atol=1e-3)
    first = counter.frame_count
    draw(pipe, name)
    assert counter.frame_count == first <= KINDS[method][1]
    assert sum(torch._dynamo.utils.counters["graph_break"].values()) == 0
    accel.apply(pipe, one.resample(calls=2 * STEPS))
    draw(pipe, name, num_inference_steps=2 * STEPS)
    assert counter.frame_count <= first + KINDS[method][1]


# Kinds: full calls by the residuals that they keep, and reusing ones by front; passes are alike.
KINDS: dict[str, tuple[dict[str, Any], int]] = {
    "deltacache": ({"deltacache": {"depth": ["full", 1, 0, "full", 1, 0]}}, 6),
    "fora": ({"fora": {"attn": [True, False, False] * 2, "mlp": [True, False, False] * 2}}, 3),
    "cat": ({"cat": {"alpha": [1.0, 1.0, 0.5, 0.25, 0.5, 0.25], "clusters": 4}}, 5),
}
