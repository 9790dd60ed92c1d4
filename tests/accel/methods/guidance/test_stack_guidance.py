"""Guidance per call on pipelines of the family `transformer`: doubled batches and two passes."""

from __future__ import annotations

import ast
import inspect
import logging
import re
import textwrap
from collections.abc import Callable
from typing import Any

import diffusers
import pytest
import torch

import accel
from accel.pipelines.manners import MANNERS, Manner
from strategies import StrategyError
from tests.support.pipelines.law_cases import case, law
from tests.support.pipelines.stack_arguments import embeds, rows
from tests.support.pipelines.stack_pipelines import (
    PIPES,
    STEPS,
    build,
    draw,
    strategy,
)

MODES = ["full", "full", "reuse", "off", "full", "reuse"]
UNGUIDED = ("flux2", "flux2-reference")
# Names and values of arguments: how a pipeline guides, and how it does not.
SCALE: dict[str, tuple[str, float, float]] = {
    name: ("guidance_scale", 4.0, 1.0) for name in PIPES if name not in UNGUIDED
} | {
    "qwen": ("true_cfg_scale", 4.0, 1.0),
    "hunyuan-video": ("true_cfg_scale", 4.0, 1.0),
    "z-image": ("guidance_scale", 4.0, 0.0),
}
GUIDED = pytest.mark.parametrize("name", SCALE)


def guided(name: str, pipe: Any, share: float = 1.0, **given: Any) -> torch.Tensor:
    """An image at a share of the usual guidance scale; at share 0 without guidance."""
    word, on, off = SCALE[name]
    if name == "z-image":  # As long as the prompt's, so that the half has the size of both.
        given = {"negative_prompt_embeds": shorter(given.get("batch", 1))} | given
    if name == "hunyuan-video":
        given |= negative(given.get("batch", 1))
    scale: dict[str, Any] = {word: share * on if share else off}
    return draw(pipe, name, **scale, **given)


def negative(batch: int) -> dict[str, Any]:
    found = embeds(24, mask="prompt_attention_mask")(batch, 0)
    names = [word for word in found if word.startswith("negative")]
    pooled = rows(1, 98, 12).repeat(batch, 1)
    return {word: found[word] for word in names} | {"negative_pooled_prompt_embeds": pooled}


def shorter(batch: int) -> list[torch.Tensor]:
    return list(rows(1, 99, 4, 24)) * batch


def drawn(name: str, pipe: Any, methods: dict[str, Any], **given: Any) -> torch.Tensor:
    with accel.accelerated(pipe, strategy(name, methods)):
        return guided(name, pipe, **given)


def near(mine: torch.Tensor, theirs: torch.Tensor) -> bool:
    return bool((mine - theirs).norm() / theirs.norm() < 1e-4)


@GUIDED
def test_guidance_equals_what_the_pipeline_does(name: str) -> None:
    """Off is its own call without guidance, a scale another of its scales, full everywhere itself.

    Qwen-Image, Lumina 2 and Z-Image also scale the result to the norm of the conditional
    prediction.
    """
    pipe = build(name)
    given: dict[str, Any] = {"cfg_normalization": True} if name == "z-image" else {}
    plain, without = guided(name, pipe, **given), guided(name, pipe, 0, **given)
    assert not near(plain, without)
    assert torch.equal(drawn(name, pipe, {"guidance": {"mode": "off", "scale": 3.0}}), without)
    assert torch.equal(
        drawn(name, pipe, {"guidance": {"mode": "full", "order": 1}}, **given), plain
    )
    mine = drawn(name, pipe, {"guidance": {"scale": 0.6}}, **given)
    assert near(mine, guided(name, pipe, 0.6, **given))
    assert not near(mine, plain)
    assert torch.equal(guided(name, pipe, **given), plain)


@law(5)
@case("transformer", ["guidance"])
@GUIDED
def test_a_batch_runs_the_half_with_the_prompt_alone(name: str) -> None:
    pipe = build(name)
    methods: dict[str, Any] = {"guidance": {"mode": MODES, "order": [0, 0, 0, 0, 0, 1]}}
    accel.apply(pipe, strategy(name, methods))
    together = guided(name, pipe, batch=2)
    records = accel.stats(pipe)
    ran = [sum(r.running or 0 for r in records if r.call == call) for call in range(STEPS)]
    whole = ran[0]
    assert ran == [whole if mode == "full" else whole // 2 for mode in MODES] or name == "wan22"
    assert {record.guidance for record in records} == {"full", "reuse", "off"}
    for index in range(2):
        alone = guided(name, pipe, seed=index)
        assert (together[index : index + 1] - alone).norm() / alone.norm() < 1e-3


@GUIDED
def test_with_the_reuse_of_blocks(name: str) -> None:
    """Blocks run as the two methods say, and nothing of a generation is left for the next."""
    pipe = build(name)
    depth = ["full", 1, 1, "full", 1, "skip"]
    modes = ["full", "full", "off", "off", "full", "off"]
    methods: dict[str, Any] = {"deltacache": {"depth": depth}, "guidance": {"mode": modes}}
    first = drawn(name, pipe, methods)
    accel.apply(pipe, strategy(name, methods))
    assert torch.equal(guided(name, pipe), first)
    assert torch.isfinite(first).all()
    planned = strategy(name, methods).canonical().methods["deltacache"]
    done = [record.depth for record in accel.stats(pipe) if record.running and not record.branch]
    assert done == list(planned.depth) or name == "wan22"  # type: ignore[attr-defined]


@GUIDED
def test_reuse_adds_the_kept_difference(name: str) -> None:
    """Against the pipeline itself, whose network is made to give `c - (c0 - u0)` for `u`."""
    if name == "wan22":
        pytest.skip("two networks keep a difference each")
    pipe = build(name)
    modes = ["full", *["reuse"] * (STEPS - 1)]
    mine = drawn(name, pipe, {"guidance": {"mode": modes}})
    undo = gated(pipe, MANNERS[type(pipe).__name__])
    theirs = guided(name, pipe)
    undo()
    assert near(mine, theirs)
    assert not near(mine, guided(name, pipe))


def gated(pipe: Any, manner: Manner) -> Callable[[], None]:
    """Put CFG gating from the second call on over a pipeline's network, by hand."""
    network, own = pipe.transformer, pipe.transformer.forward
    assert manner.prompt is not None
    prompt: int = manner.prompt
    kept: list[torch.Tensor] = []
    passed: list[torch.Tensor] = []

    def halves(*args: Any, **kwargs: Any) -> Any:
        output = own(*args, **kwargs)
        listed = isinstance(output[0], list)
        both = (torch.stack(output[0]) if listed else output[0]).chunk(2)
        mine, other = both[prompt], both[1 - prompt]
        kept.append(kept[0] if kept else mine - other)
        other = mine - kept[0]
        whole = torch.cat([mine, other] if prompt == 0 else [other, mine])
        return (list(whole) if listed else whole,)

    def passes(*args: Any, **kwargs: Any) -> Any:
        output = own(*args, **kwargs)
        tensor = output if torch.is_tensor(output) else output[0]
        passed.append(tensor)
        if len(passed) % 2:
            return output
        kept.append(kept[0] if kept else passed[0] - passed[1])
        made = passed[-2] - kept[0]
        return type(output)(sample=made) if hasattr(output, "sample") else (made,)

    network.forward = halves if manner.kind == "halves" else passes
    return lambda: vars(network).pop("forward", None) and None


def test_a_pipeline_without_guidance_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    pipes = [("flux2", build("flux2")), ("flux2-klein", build("flux2-klein", guidance_embeds=True))]
    pipes[1][1].register_to_config(is_distilled=True)
    for name, pipe in pipes:
        plain = draw(pipe, name)
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="accel"):
            accel.apply(pipe, strategy(name, {"guidance": {"mode": MODES, "scale": 0.5}}))
            assert torch.equal(draw(pipe, name), plain)
            draw(pipe, name)
        assert sum("does not guide" in one.message for one in caplog.records) == 1


def test_a_longer_negative_prompt_makes_the_half_another_size() -> None:
    """The halves of Z-Image are padded together, so that nothing is kept from one to the other."""
    pipe = build("z-image")
    methods = {"deltacache": {"depth": ["full", *[0] * 5]}, "guidance": {"mode": MODES}}
    accel.apply(pipe, strategy("z-image", methods))
    assert torch.isfinite(draw(pipe, "z-image")).all()
    done = [record.depth for record in accel.stats(pipe)]
    assert done == ["full", 0, "full", 0, "full", "full"]


def test_guidance_may_stop_on_the_way() -> None:
    """Z-Image stops to double the batch, Lumina 2 to make the second pass."""
    for name, word in (("z-image", "cfg_truncation"), ("lumina2", "cfg_trunc_ratio")):
        pipe = build(name)
        truncated: dict[str, Any] = {word: 0.6}
        plain = draw(pipe, name, **truncated)
        accel.apply(pipe, strategy(name, {"guidance": {"mode": ["full"] * 5 + ["off"]}}))
        assert torch.equal(draw(pipe, name, **truncated), plain)


def test_what_is_not_known_is_refused_by_one_line() -> None:
    pipe = build("cogvideox")
    accel.apply(pipe, strategy("cogvideox", {"guidance": {"scale": 0.5}}))
    with pytest.raises(StrategyError, match="use_dynamic_cfg"):
        draw(pipe, "cogvideox", use_dynamic_cfg=True)
    pipe = build("qwen")
    own = type("Other", (type(pipe),), {"__call__": lambda self: None})
    pipe.__class__ = own
    with pytest.raises(StrategyError, match="does not know how Other guides"):
        accel.apply(pipe, strategy("qwen", {"guidance": {"mode": "off"}}))


@torch.no_grad()
def test_a_loop_of_ones_own_is_refused() -> None:
    """Which half has the prompt is the pipeline's choice, not the network's."""
    pipe = build("cogview4")
    accel.apply(pipe, strategy("cogview4", {"guidance": {"mode": "off"}}))
    pipe.scheduler.set_timesteps(STEPS)
    size = torch.tensor([[64, 64]])
    given = {"original_size": size, "target_size": size, "crop_coords": size * 0}
    with pytest.raises(StrategyError, match="which half of guidance has the prompt"):
        pipe.transformer(
            hidden_states=rows(1, 0, 4, 8, 8), encoder_hidden_states=rows(1, 1, 5, 24),
            timestep=pipe.scheduler.timesteps[:1], **given,
        )  # fmt: skip


STACKS = [name for name, manner in MANNERS.items() if manner.prompt is not None]
FIRST = r"(\w*(?:uncond|neg)\w*) \+ (?:self\.)?(\w*scale) \* \((\w+) - \1\)"
ADDED = r"(\w+) \+ (?:self\.)?(\w*scale) \* \(\1 - (\w+)\)"


@pytest.mark.parametrize("name", STACKS)
def test_the_source_guides_as_the_table_says(name: str) -> None:
    """The formula, its scale, and which prediction comes first."""
    manner = MANNERS[name]
    tree = ast.parse(textwrap.dedent(inspect.getsource(getattr(diffusers, name).__call__)))
    source = ast.unparse(tree)
    found = re.findall(ADDED if manner.adds else FIRST, source)
    assert found
    for one in found:
        assert one[1].removeprefix("current_").removeprefix("_") == manner.scale
    without = found[0][2 if manner.adds else 0]
    chunked = re.findall(r"(\w+), (\w+) = \w+\.chunk\(2(?:, dim=0)?\)", source)
    if manner.kind == "halves" and not manner.adds:
        assert [pair.index(without) for pair in chunked if without in pair] == [1 - manner.prompt]  # type: ignore[operator]
        assert source.count("transformer(") == 1
    if manner.kind == "passes":
        calls = re.findall(r"(\w+) = (?:self\.transformer|current_model|transformer)\(", source)
        assert len(calls) == 2
        assert calls.index(without) == 1
