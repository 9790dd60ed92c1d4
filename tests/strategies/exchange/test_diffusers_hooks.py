"""Schedules for diffusers' own hooks, compared with the real hooks on tiny pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import accel
from strategies import Strategy, StrategyError
from strategies.exchange.diffusers_hooks import diffusers_hooks
from tests.support.pipelines import transformer_pipelines as tiny
from tests.support.pipelines.unet_pipelines import STEPS


def written(strategy: Strategy) -> tuple[str, dict[str, Any]]:
    found = json.loads(diffusers_hooks(strategy))
    assert found["strategy"]["digest"] == strategy.digest
    assert found["hook"] in found["use"]
    return found["hook"], found["config"]


def uses(pipe: Any, strategy: Strategy, folder: Path) -> None:
    """Carry out the file's `use`, up to the call of the pipeline."""
    path = folder / "hook.json"
    path.write_text(diffusers_hooks(strategy))
    line, call = json.loads(path.read_text())["use"].split("; then ")
    assert f"num_inference_steps={strategy.steps}" in call
    names: dict[str, Any] = {"pipe": pipe, "FILE": str(path)}
    for statement in line.split("; "):
        exec(statement, names)


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "PixArt, MagCache": ("pixart", {"deltacache": {"depth": ["full", 0, "full", 0, 0, "full"]}}),
    "FLUX, MagCache": ("flux", {"deltacache": {"depth": ["full", "full", 0, 0, 0, "full"]}}),
    "PixArt, Pyramid Attention Broadcast": (
        "pixart",
        {"fora": {"attn": [True, False] * 3, "mlp": True, "cross": [True, False, False] * 2}},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_real_hooks_do_the_same(name: str, tmp_path: Path) -> None:
    model, methods = CASES[name]
    strategy = tiny.strategy(model, methods)
    pipe = tiny.build(model)
    plain = tiny.draw(pipe)
    with accel.accelerated(pipe, strategy):
        ours = tiny.draw(pipe)
    uses(pipe, strategy, tmp_path)
    theirs = tiny.draw(pipe)
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(theirs, plain, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(tiny.draw(pipe), theirs)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "front": ("pixart", {"deltacache": {"depth": 1}}, r"deltacache.depth\[1\], which is 1; all"),
    "skip": ("pixart", {"deltacache": {"depth": "skip"}}, r'depth\[1\], which is "skip"; all'),
    "tail": ("pixart", {"deltacache": {"depth": 0, "tail": 1}}, r"tail\[1\], which is 1; give 0"),
    "order": (
        "pixart",
        {"deltacache": {"depth": ["full", "full", *[0] * (STEPS - 2)], "order": 1}},
        r"deltacache.order\[2\], which is 1; give 0",
    ),
    "mlp": (
        "pixart",
        {"fora": {"attn": False, "mlp": False, "cross": False}},
        r"fora.mlp\[1\], wh",
    ),
    "interval": (
        "pixart",
        {"fora": {"attn": [True, False, True, True, False, True][:STEPS], "mlp": True}},
        r"fora.attn\[3\], which is true; attentions are computed at every N-th.*make N 2",
    ),
    "family": ("flux", {"fora": {"attn": False, "mlp": True}}, "methods.fora on family 'mmdit'"),
    "method": ("pixart", {"tgate": {"gate": 3}}, "methods.tgate; only deltacache"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_hook_can_express_is_named(name: str) -> None:
    model, methods, message = REFUSED[name]
    with pytest.raises(StrategyError, match=f"^diffusers' hooks cannot express .*{message}"):
        diffusers_hooks(tiny.strategy(model, methods))


def test_families_without_a_hook() -> None:
    one = Strategy.create(family="unet", scheduler="DDIMScheduler", steps=4, calls=4, methods={})
    with pytest.raises(StrategyError, match=r"family 'unet'; only .* on dit, mmdit, transf"):
        diffusers_hooks(one)


def test_a_strategy_that_reuses_nothing_computes_every_step() -> None:
    hook, config = written(tiny.strategy("pixart", {}))
    assert hook == "MagCacheConfig"
    assert config["mag_ratios"] == [2.0] * STEPS
    assert config["max_skip_steps"] == 0
