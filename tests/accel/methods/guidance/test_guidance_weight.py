"""Weight of a kept difference of guidance: its meaning, its short form, and files without it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import accel
from strategies import Strategy, StrategyError
from strategies.methods.guidance import Guidance, Mode
from tests.support.pipelines import transformer_pipelines, unet_pipelines

GUIDANCE, WEIGHT = 4.0, 0.7
MODE: list[Mode] = ["full", "full", "reuse", "reuse", "full", "reuse"]


def image(model: str, pipe: Any, methods: dict[str, Any]) -> torch.Tensor:
    if model in unet_pipelines.MODELS:
        with accel.accelerated(pipe, unet_pipelines.strategy(methods, len(MODE))):
            return unet_pipelines.draw(pipe, guidance_scale=GUIDANCE)
    with accel.accelerated(pipe, transformer_pipelines.strategy(model, methods, len(MODE))):
        return transformer_pipelines.draw(pipe, guidance=GUIDANCE)


def build(model: str) -> Any:
    support = unet_pipelines if model in unet_pipelines.MODELS else transformer_pipelines
    return support.build(model).to(dtype=torch.float64)


@pytest.mark.parametrize("model", ["sd1", "sd3"])
def test_a_weighted_difference_is_a_weaker_guidance(model: str) -> None:
    """`u = c - w d` guides as strongly as the whole difference times `(1 + w (g - 1)) / g`."""
    pipe = build(model)
    scale = (1 + WEIGHT * (GUIDANCE - 1)) / GUIDANCE
    scales = [scale if mode == "reuse" else 1.0 for mode in MODE]
    weighted = image(model, pipe, {"guidance": {"mode": MODE, "weight": WEIGHT}})
    scaled = image(model, pipe, {"guidance": {"mode": MODE, "scale": scales}})
    assert torch.allclose(weighted, scaled, rtol=0, atol=1e-9)
    whole = image(model, pipe, {"guidance": {"mode": MODE}})
    assert not torch.allclose(weighted, whole, rtol=0, atol=1e-4)


def test_without_weight_a_difference_is_off() -> None:
    pipe = build("sd1")
    off = ["off" if mode == "reuse" else mode for mode in MODE]
    nothing = image("sd1", pipe, {"guidance": {"mode": MODE, "weight": 0.0}})
    assert torch.equal(nothing, image("sd1", pipe, {"guidance": {"mode": off}}))
    one, other = (unet_pipelines.strategy({"guidance": knobs}, len(MODE)) for knobs in (
        {"mode": MODE, "weight": 0.0}, {"mode": off}
    ))  # fmt: skip
    assert one.digest == other.digest


def test_fade_is_a_weight_that_falls_with_each_call() -> None:
    faded = Guidance(mode=tuple(MODE), fade=0.5).canonical(len(MODE), None)
    assert faded.weight == (1.0, 1.0, 0.5, 0.25, 1.0, 0.5)
    assert faded.fade == 1.0
    both = Guidance(mode=tuple(MODE), fade=0.5, weight=(0.8,) * 6).canonical(len(MODE), None)
    assert both.weight == (1.0, 1.0, 0.4, 0.2, 1.0, 0.4)


def test_a_schedule_of_other_calls_keeps_its_weights_by_time() -> None:
    twice = Guidance(mode=tuple(MODE), fade=0.5).resample([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    assert set(twice.weight) == {1.0, 0.5, 0.25}
    assert twice.canonical(12, None).weight == twice.weight


@pytest.mark.parametrize(
    ("knobs", "digest"),
    [
        (
            {
                "mode": ["full", "reuse", "off", "reuse"],
                "scale": [1.0, 1.0, 1.0, 0.6],
                "order": [0, 0, 0, 1],
            },
            "7a5c2765b214461b865d3ac43c3b7d9c7bf467f7aecde37635f47aec1824c55c",
        ),
        (
            {"mode": ["full", "off", "off", "full"], "late": 0.6},
            "fde34d6273db80a0d50fce7483c3511605b29faf151c029e831dc5660b326bdb",
        ),
    ],
)
def test_strategies_without_weights_are_known_as_before(knobs: dict[str, Any], digest: str) -> None:
    """Scores and logs of former versions name strategies by their digests."""
    one = Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=4, calls=4, methods={"guidance": knobs}
    )
    assert one.digest == digest
    assert "weight" not in one.to_json()["methods"]["guidance"]


@pytest.mark.parametrize("value", [-0.1, 1.1, "half"])
def test_bad_weights_are_one_line(value: Any) -> None:
    with pytest.raises(StrategyError, match=r"methods\.guidance\.weight") as caught:
        unet_pipelines.strategy({"guidance": {"mode": MODE, "weight": value}}, len(MODE))
    assert "\n" not in str(caught.value)
