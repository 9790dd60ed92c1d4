"""The laws of all methods on pipelines of every kind that the family `transformer` takes."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module, remove_hook_from_module

import accel
from accel import families
from accel.stack import numbered
from strategies import StrategyError
from tests.accel.laws.test_transformer_laws import attributes, traces
from tests.support.pipelines.law_cases import case, law
from tests.support.pipelines.stack_pipelines import PIPES, STEPS, build, draw, strategy
from tests.support.pipelines.transformer_pipelines import InTheMiddleError

KNOBS: dict[str, Any] = {
    "depth": ["full", 1, "skip", "full", 0, 1],
    "tail": [0, 1, 0, 0, 0, 0],
    "order": [0, 0, 1, 0, 1, 2],
}
STRONG = {"deltacache": KNOBS}
FRONTS = ["full", 1, "skip", "full", 0, 1]
GUIDANCE = {"guidance": {"mode": ["full", "off", "full", "reuse", "full", "off"], "scale": 0.8}}
HALF = [True, True, False, False, True, False]
FORA = {"fora": {"attn": HALF, "cross": [True, False] * 3, "order": [0, 0, 0, 0, 0, 1]}}
LATER = {
    "deltacache": {"depth": ["full", "full", 1, "full", "skip", 0], "tail": [0, 0, 1, 0, 0, 0]}
}
AHEAD = {"paradigms": {"window": 3, "tolerance": 1.0}}
USES: list[dict[str, Any]] = [
    STRONG, FORA, GUIDANCE, GUIDANCE | STRONG, FORA | LATER, FORA | GUIDANCE,
    FORA | GUIDANCE | LATER,
]  # fmt: skip


NEUTRAL: dict[str, Any] = {
    "deltacache": {"depth": "full", "order": 1},
    "fora": {"attn": True, "order": 2},
    "guidance": {"mode": "full", "order": 1},
    "paradigms": {"window": 1},
}
# Pipelines that step by a solver of order 1, and guide plainly.
PLAIN = (
    *("flux2", "flux2-klein", "chroma", "wan", "wan22", "auraflow", "cogview4", "ltx"),
    *("hunyuan-video", "kandinsky5", "kandinsky5-image"),
)
UNGUIDED = ("flux2", "flux2-reference", "hunyuan-video")  # Guidance alone changes nothing there.


def with_uses(part: int) -> pytest.MarkDecorator:
    """Every pipeline with all uses of methods; by default it is the turn of one of them."""
    found = []
    for place, name in enumerate(PIPES):
        fitting = [one for one in USES if one is not GUIDANCE or name not in UNGUIDED]
        for turn, methods in enumerate(fitting):
            now = (place + part) % len(fitting) == turn
            marks = [case("transformer", methods), *([] if now else [pytest.mark.slow])]
            found.append(pytest.param(name, methods, marks=marks, id=f"{name}-{'+'.join(methods)}"))
    for place, name in enumerate(PLAIN):
        marks = [case("transformer", AHEAD), *([] if place == part else [pytest.mark.slow])]
        found.append(pytest.param(name, AHEAD, marks=marks, id=f"{name}-paradigms"))
    return pytest.mark.parametrize(("name", "methods"), found)


def fresh(name: str, methods: Any, **settings: Any) -> torch.Tensor:
    """The result of a pipeline that never did anything else."""
    pipe = build(name)
    accel.apply(pipe, strategy(name, methods))
    return draw(pipe, name, **settings)


@law(1)
@law(2)
@with_uses(0)
def test_neutral_and_removed_change_nothing(name: str, methods: dict[str, Any]) -> None:
    pipe = build(name)
    plain, before = draw(pipe, name), attributes(pipe)
    assert torch.isfinite(plain).all()
    accel.apply(pipe, strategy(name, {method: NEUTRAL[method] for method in methods}))
    assert torch.equal(draw(pipe, name), plain)
    accel.apply(pipe, strategy(name, methods))
    mine = draw(pipe, name)
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)
    accel.remove(pipe)
    assert traces(pipe) == []
    assert attributes(pipe) == before
    assert torch.equal(draw(pipe, name), plain)


@law(5)
@case("transformer", STRONG)
@pytest.mark.parametrize("name", [name for name in PIPES if name != "wan22"])
def test_blocks_run_as_the_strategy_says(name: str) -> None:
    """By hooks inside of the blocks, not by what the sampler says of itself."""
    pipe = build(name)
    _, sites = families.find_sites(pipe)
    blocks = [block.name for block in numbered(sites.stack)]
    ran = counted(pipe.transformer, blocks)
    draw(pipe, name)
    plain = list(ran)
    accel.apply(pipe, strategy(name, STRONG))
    ran.clear()
    draw(pipe, name)
    records = accel.stats(pipe)
    passes = len(records) // STEPS
    assert [record.depth for record in records] == [f for f in FRONTS for _ in range(passes)]
    assert records[passes].ran == [blocks[0], blocks[-1]]
    assert [len(r.ran) for r in records[:: passes or 1]] == [len(blocks), 2, 0, len(blocks), 0, 1]
    for block in blocks:
        share = sum(block in record.ran for record in records) / len(records)
        assert ran.count(block) == plain.count(block) * share > 0


def counted(network: Any, blocks: list[str]) -> list[str]:
    """The names of blocks, each time that something in one runs."""
    ran: list[str] = []
    for block in blocks:
        module = network.get_submodule(block)
        inner = next(one for one in module.modules() if isinstance(one, torch.nn.Linear))
        inner.register_forward_hook(lambda *_, name=block: ran.append(name))
    return ran


def test_two_networks_share_a_schedule() -> None:
    """Of Wan 2.2, whose second network starts with nothing kept; calls are counted over both."""
    pipe = build("wan22")
    knobs: dict[str, Any] = {"depth": ["full", 0, 0, 0, 0, "skip"]}
    accel.apply(pipe, strategy("wan22", {"deltacache": knobs}))
    draw(pipe, "wan22")
    records = [record for record in accel.stats(pipe) if record.branch == 0]
    assert [record.call for record in records] == list(range(STEPS))
    depths = [record.depth for record in records]
    second = depths.index("full", 1)
    assert depths == ["full", *[0] * (second - 1), "full", *[0] * (STEPS - second - 2), "skip"]
    blocks = [block.name for block in numbered(families.find_sites(pipe)[1].stack)]
    both = [counted(network, blocks) for network in (pipe.transformer, pipe.transformer_2)]
    draw(pipe, "wan22")
    assert both[0]
    assert len(both[0]) == len(both[1])
    accel.remove(pipe)
    for network in (pipe.transformer, pipe.transformer_2):
        assert not [module for module in network.modules() if "forward" in vars(module)]


@law(3)
@law(4)
@with_uses(2)
def test_no_generation_sees_another(name: str, methods: dict[str, Any]) -> None:
    pipe = build(name)
    accel.apply(pipe, strategy(name, methods))
    alone = fresh(name, methods)
    assert torch.equal(draw(pipe, name), alone)
    draw(pipe, name, seed=3, batch=2)
    assert torch.equal(draw(pipe, name), alone)
    fail(pipe)
    assert torch.equal(draw(pipe, name), alone)


@law(9)
@with_uses(1)
def test_applying_twice_replaces(name: str, methods: dict[str, Any]) -> None:
    pipe = build(name)
    accel.apply(pipe, strategy(name, LATER | GUIDANCE))
    accel.apply(pipe, strategy(name, methods))
    assert torch.equal(draw(pipe, name), fresh(name, methods))
    accel.remove(pipe)
    assert traces(pipe) == []


@law(7)
@with_uses(3)
def test_hooks_before_and_after_a_strategy(name: str, methods: dict[str, Any]) -> None:
    """accelerate's hooks, which CPU offload is made of."""
    pipe = build(name)
    plain = draw(pipe, name)
    modules = [pipe.transformer, numbered(families.find_sites(pipe)[1].stack)[-1].module]
    for first in (True, False):
        if first:
            hook(modules)
        accel.apply(pipe, strategy(name, methods))
        if not first:
            hook(modules)
        assert torch.equal(draw(pipe, name), fresh(name, methods))
        accel.remove(pipe)
        assert torch.equal(draw(pipe, name), plain)
        for module in modules:
            remove_hook_from_module(module)
    assert torch.equal(draw(pipe, name), plain)


def hook(modules: list[Any]) -> None:
    for module in modules:
        add_hook_to_module(module, AlignDevicesHook(execution_device="cpu"))


def fail(pipe: Any) -> None:
    """A generation that fails in its last block, at a call that reuses nothing."""
    _, sites = families.find_sites(pipe)
    left = [2]

    def stop(*_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise InTheMiddleError

    made = numbered(sites.stack)[-1].module.register_forward_pre_hook(stop)
    name = next(n for n, tiny in PIPES.items() if tiny.pipeline == type(pipe).__name__)
    try:
        with pytest.raises(InTheMiddleError):
            draw(pipe, name)
    finally:
        made.remove()


@law(6)
@with_uses(4)
def test_a_batch_is_its_images(name: str, methods: dict[str, Any]) -> None:
    pipe = build(name)
    accel.apply(pipe, strategy(name, methods))
    together = draw(pipe, name, batch=2)
    for index in range(2):
        alone = draw(pipe, name, seed=index)
        assert (together[index : index + 1] - alone).norm() / alone.norm() < 1e-3


@law(8)
@with_uses(6)
def test_nothing_is_kept_after_a_generation(name: str, methods: dict[str, Any]) -> None:
    pipe = build(name)
    draw(pipe, name)
    before = tensors()
    accel.apply(pipe, strategy(name, methods))
    draw(pipe, name)
    assert tensors() == before


def tensors() -> int:
    """How many tensors there are."""
    gc.collect()
    return sum(isinstance(one, torch.Tensor) for one in gc.get_objects())


def test_what_does_not_fit_is_refused_by_one_line() -> None:
    pipe = build("qwen")
    cases: list[tuple[dict[str, Any], str]] = [
        (
            {"depth": 3},
            r"depth\[1\] is 3, but QwenImageTransformer2DModel has 3 blocks; use .*0 to 2",
        ),
        ({"depth": 2, "tail": 1}, r"depth\[1\] is 2 and tail\[1\] is 1, .* at most 2"),
    ]
    for knobs, said in cases:
        with pytest.raises(StrategyError, match=said) as told:
            accel.apply(pipe, strategy("qwen", {"deltacache": knobs}))
        assert "\n" not in str(told.value)
    assert traces(pipe) == []
    with pytest.raises(StrategyError, match="a tail of at most the depth"):
        wrong = {"deltacache": {"depth": 0, "tail": 1}}
        accel.apply(build("hunyuan-dit"), strategy("hunyuan-dit", wrong))
    with pytest.raises(StrategyError, match="tgate works on unet, dit"):
        strategy("qwen", {"tgate": {"gate": 3}})


def test_a_changed_list_of_blocks_is_noticed() -> None:
    pipe = build("qwen")
    accel.apply(pipe, strategy("qwen", {"deltacache": {"depth": ["full", 2, 2, 2, 2, 2]}}))
    draw(pipe, "qwen")
    pipe.transformer.transformer_blocks = pipe.transformer.transformer_blocks[:2]
    with pytest.raises(StrategyError, match="has 2 blocks"):
        draw(pipe, "qwen")
    accel.apply(pipe, strategy("qwen", {"deltacache": {"depth": ["full", 1, 1, 1, 1, 1]}}))
    draw(pipe, "qwen")
    pipe.transformer.transformer_blocks.append(build("qwen").transformer.transformer_blocks[2])
    draw(pipe, "qwen")
    assert len(accel.stats(pipe)[0].ran) == 3


def test_guidance_may_stop_on_the_way() -> None:
    """Z-Image leaves one half of the batch out when the time has come, Lumina 2 one pass."""
    for name, word in (("z-image", "cfg_truncation"), ("lumina2", "cfg_trunc_ratio")):
        pipe = build(name)
        accel.apply(pipe, strategy(name, {"deltacache": {"depth": ["full", 0, 0, 0, 0, 0]}}))
        draw(pipe, name, **dict[str, Any]({word: 0.6}))
        records = accel.stats(pipe)
        rows = [sum(r.batch for r in records if r.call == call) for call in range(STEPS)]
        assert rows[0] == 2
        assert rows[-1] == 1
        changes = [r.call for r in records if r.branch == 0 and r.depth == "full"]
        assert changes == ([0, rows.index(1)] if name == "z-image" else [0])
