"""Law 5: the strongest settings really skip work; what ran, and the multiplications counted."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch

import accel
from accel.profiling import flop_counter
from tests.support.pipelines.law_cases import law, laws
from tests.support.pipelines.method_cases import ALL, REFRESH
from tests.support.pipelines.unet_pipelines import build, draw, strategy


def test_deepcache_skips_the_deep_blocks() -> None:
    pipe = build("long")
    accel.apply(pipe, strategy({"deepcache": {"depth": ["full", 1, 0, 2, 4, 12]}}))
    with accel.measuring(pipe, macs=True):
        draw(pipe)
    records = accel.stats(pipe)
    assert [record.depth for record in records] == ["full", 1, 0, 2, 4, 12]
    assert [record.ran for record in records[1:5]] == [
        ["up_blocks.3[-1:]"],
        [],
        ["down_blocks.0[:1]", "up_blocks.3[-2:]"],
        ["down_blocks.0", "up_blocks.2[-1:]", "up_blocks.3"],
    ]
    blocks = [f"down_blocks.{i}" for i in range(4)]
    after = [f"up_blocks.{i}" for i in range(4)]
    assert records[0].ran == [*blocks, "mid_block", *after]
    assert records[5].ran == [*blocks, *after]
    full, one, zero, two, four, twelve = (record.macs or 0 for record in records)
    assert zero == 0
    assert 0 < one < two < four < twelve < full
    assert one < full / 5


def test_the_leaf_modules_that_ran() -> None:
    """The leaf modules that ran at depth 1 are those above the border, and no other."""
    pipe = build("long")
    accel.apply(pipe, strategy({"deepcache": {"depth": ["full", 1, 1, 1, 1, 1]}}))
    ran: dict[str, list[str]] = {"full": [], "1": []}
    for name, module in pipe.unet.named_modules():
        if not list(module.children()):
            module.register_forward_pre_hook(
                lambda *_, n=name: ran[str(accel.stats(pipe)[-1].depth)].append(n)
            )
    draw(pipe)
    shallow = set(ran["1"])
    assert any(n.startswith("up_blocks.3.resnets.2") for n in shallow)
    assert not any(n.startswith(("mid_block", "down_blocks")) for n in shallow)
    assert not any(n.startswith(("up_blocks.0", "up_blocks.1", "up_blocks.2")) for n in shallow)
    assert not any(
        n.startswith(("up_blocks.3.resnets.0", "up_blocks.3.resnets.1")) for n in shallow
    )
    assert any(n.startswith("mid_block") for n in ran["full"])


def test_tome_attends_over_fewer_tokens(pipe: Any) -> None:
    ratios = [0.0, 0.25, 0.5, 0.75, 0.0, 0.0]
    accel.apply(pipe, strategy({"tome": {"ratio": ratios}}))
    seen: list[int] = []
    site = pipe.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    site.to_q.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    with accel.measuring(pipe, macs=True):
        draw(pipe)
    assert seen == [256, 192, 128, 64, 256, 256]
    macs = [record.macs or 0 for record in accel.stats(pipe)]
    assert macs[3] < macs[2] < macs[1] < macs[0] == macs[4]
    kept = {tokens for record in accel.stats(pipe)[1:4] for tokens in record.tokens.values()}
    assert kept == {(256, 192), (256, 128), (256, 64)}
    assert len(accel.stats(pipe)[1].tokens) == 3


def macs(pipe: Any, methods: dict[str, Any]) -> list[int]:
    accel.apply(pipe, strategy(methods))
    with accel.measuring(pipe, macs=True):
        draw(pipe)
    return [record.macs or 0 for record in accel.stats(pipe)]


@pytest.mark.parametrize("patch", [2, 4])
def test_dato_attends_over_fewer_tokens(pipe: Any, patch: int) -> None:
    ratios = [0.0, 0.25, 0.5, 0.75, 0.0, 0.0]
    seen: list[int] = []
    site = pipe.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    site.to_q.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    work = macs(pipe, {"dato": {"ratio": ratios, "patch": patch}})
    assert seen == [256, 192, 128, 64, 256, 256]
    assert work[3] < work[2] < work[1] < work[0] == work[4]
    kept = {tokens for record in accel.stats(pipe)[1:4] for tokens in record.tokens.values()}
    assert kept == {(256, 192), (256, 128), (256, 64)}


def test_catome_computes_pairs_at_checkpoints_only(pipe: Any) -> None:
    once = macs(pipe, {"catome": {"threshold": -1.0, "checkpoints": [0]}})
    # At threshold -1 every source is merged: a quarter of the tokens is left.
    assert accel.stats(pipe)[2].tokens == dict.fromkeys(accel.stats(pipe)[0].tokens, (256, 64))
    assert len(accel.stats(pipe)[2].reused) == 3
    assert accel.stats(pipe)[0].reused == []
    always = macs(pipe, {"catome": {"threshold": -1.0}})
    plain = macs(pipe, {})
    assert always[0] == once[0] < plain[0]
    assert set(always) == {always[0]}
    # Similarity of 192 sources and 64 destinations, 8 channels, 3 attentions, 2 rows.
    assert always[1] - once[1] == 192 * 64 * 8 * 3 * 2
    assert once[1] == once[5]


def test_tgate_runs_one_half_without_cross_attention(pipe: Any) -> None:
    rows: list[int] = []
    pipe.unet.conv_in.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    calls = {"self": 0, "cross": 0}
    block = pipe.unet.up_blocks[3].attentions[0].transformer_blocks[0]
    for kind, attention in (("self", block.attn1), ("cross", block.attn2)):

        def count(*_: Any, kind: str = kind) -> None:
            calls[kind] += 1

        attention.to_q.register_forward_pre_hook(count)
    knobs = {"gate": 4, "self_interval": 3, "warmup": 0, "late_interval": 2}
    work = macs(pipe, {"tgate": knobs})
    assert rows == [2, 2, 2, 2, 1, 1]
    # Self-attention at 0, 3 (before the gate and a multiple), 4; cross-attention until the gate.
    assert calls == {"self": 3, "cross": 4}
    assert work[4] < work[3] / 2
    assert work[5] < work[4] < work[1] < work[0]
    assert [len(record.reused) for record in accel.stats(pipe)] == [0, 10, 10, 0, 10, 20]


def test_tgate_keeps_guidance_where_asked(pipe: Any) -> None:
    rows: list[int] = []
    pipe.unet.conv_in.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    accel.apply(pipe, strategy({"tgate": {"gate": 2, "drop_guidance": False}}))
    kept = draw(pipe)
    assert rows == [2] * 6
    accel.apply(pipe, strategy({"tgate": {"gate": 2}}))
    assert not torch.equal(draw(pipe), kept)


def test_blockcache_computes_at_its_calls_only(pipe: Any) -> None:
    names = ["down_blocks.1.attentions.0", "up_blocks.2.resnets.1"]
    ran: dict[str, list[int]] = {name: [] for name in names}
    for name in names:
        inner = "transformer_blocks.0" if "attentions" in name else "conv1"
        module = pipe.unet.get_submodule(f"{name}.{inner}")
        module.register_forward_pre_hook(
            lambda *_, n=name: ran[n].append(accel.stats(pipe)[-1].call)
        )
    work = macs(pipe, {"blockcache": {"refresh": REFRESH}})
    assert ran == {name: REFRESH[name] for name in names}
    assert work[1] < work[0]
    assert sorted(accel.stats(pipe)[1].reused) == sorted(REFRESH)


@law(5)
@pytest.mark.parametrize("name", laws(5))
def test_every_case_saves_work(name: str) -> None:
    methods = ALL[name]
    if name == "catome":  # Alone it saves as much as the similarities that it finds allow.
        methods = {"catome": {"threshold": -1.0, "checkpoints": [0]}}
    work = macs(build("sd1"), methods)
    if "paradigms" in methods:  # Calls are computed ahead, with others.
        assert 0 in work
    else:
        assert sum(work) < unaccelerated()


@functools.cache
def unaccelerated() -> int:
    return sum(macs(build("sd1"), {}))


def test_the_joint_case_skips_a_block_before_its_attention() -> None:
    """At depth 1 only the last layer runs, and only its attention can have merged tokens."""
    pipe = build()
    accel.apply(pipe, strategy(ALL["deepcache+tome"]))
    draw(pipe)
    records = accel.stats(pipe)
    assert len(records[0].tokens) == 10 - 1
    assert list(records[2].tokens) == ["up_blocks.3.attentions.1.transformer_blocks.0"]
    assert records[4].tokens == {}


def test_attention_counts_on_the_cpu_as_anywhere() -> None:
    """Torch's counter alone does not know the kernel that CPUs run."""
    rows = {}
    for device in ("cpu", "meta"):
        query, key = (torch.empty(2, 4, n, 16, device=device) for n in (64, 7))
        with torch.no_grad(), flop_counter() as counter:
            torch.nn.functional.scaled_dot_product_attention(query, key, key)
        rows[device] = counter.get_total_flops()
    assert rows["cpu"] == rows["meta"] == 2 * 2 * (2 * 4 * 64 * 7 * 16)
