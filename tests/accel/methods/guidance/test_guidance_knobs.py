"""Guidance per call: its knobs, and pipelines that it refuses."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from diffusers import (
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPAGPipeline,
)

import accel
from accel.pipelines import guiding
from accel.pipelines.manners import MANNERS
from strategies import Strategy, StrategyError
from strategies.methods.guidance import Guidance
from tests.support.guided_pipelines import REUSE, build, draw, drawn, strategy
from tests.support.pipelines import transformer_pipelines, unet_pipelines


def test_a_pipeline_that_does_not_guide_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    pipe = build("sd1")
    plain = draw(pipe, guidance=1.0)
    with caplog.at_level(logging.WARNING, logger="accel"):
        for _ in range(2):
            mine = drawn(pipe, strategy("sd1", mode=REUSE, scale=0.5), guidance=1.0)
            assert torch.equal(mine, plain)
    said = [record.message for record in caplog.records if "does not guide" in record.message]
    assert len(said) == 1


def test_pipelines_that_guide_in_another_way_are_refused() -> None:
    pipe = unet_pipelines.build("sd1")
    off = strategy("sd1", mode="off")
    parts = pipe.components
    for kind in (StableDiffusionPAGPipeline, StableDiffusionInstructPix2PixPipeline):
        other = kind(**parts, requires_safety_checker=False)
        with pytest.raises(StrategyError, match=f"does not know how {kind.__name__} guides"):
            accel.apply(other, off)
        accel.apply(other, unet_pipelines.strategy({"deepcache": {"depth": 1}}))
        accel.remove(other)
    sd3 = transformer_pipelines.build("sd3")
    accel.apply(sd3, strategy("sd3", mode="off"))
    with pytest.raises(StrategyError, match="skip_guidance_layers"):
        draw(sd3, skip_guidance_layers=[1])


def test_the_tables_are_of_pipelines_that_there_are() -> None:
    import diffusers

    assert [name for name in MANNERS if not hasattr(diffusers, name)] == []


def test_a_class_of_ones_own_counts_as_the_one_whose_call_it_has() -> None:
    pipe = unet_pipelines.build("sd1")
    own = type("Mine", (type(pipe),), {})(**pipe.components, requires_safety_checker=False)
    guiding.check_guiding(own, "guidance")
    other = type("Other", (type(pipe),), {"__call__": lambda self: None})
    with pytest.raises(StrategyError, match="does not know how Other guides"):
        guiding.check_guiding(other(**pipe.components, requires_safety_checker=False), "guidance")


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"mode": ["full"] * 5}, r"methods\.guidance\.mode has 5 values.*makes 6 calls"),
        ({"scale": -0.5}, r"methods\.guidance\.scale\.0 is -0\.5: give at least 0"),
        ({"scale": float("nan")}, r"methods\.guidance\.scale"),
        ({"mode": "reuse"}, r'mode\[0\] is "reuse", but no call before it is "full"'),
        ({"mode": ["off", "reuse", *["full"] * 4]}, r'mode\[1\] is "reuse", but no call before'),
        ({"mode": "half"}, r"methods\.guidance\.mode\.0 is .half."),
        ({"order": 2}, r"methods\.guidance\.order\.0 is 2"),
        ({"early": -1.0}, r"methods\.guidance\.early"),
    ],
)
def test_bad_input_is_one_line(knobs: dict[str, Any], said: str) -> None:
    with pytest.raises(StrategyError, match=said) as caught:
        strategy("sd1", **knobs)
    assert "\n" not in str(caught.value)


def test_dead_values_are_neutral() -> None:
    one = strategy("sd1", mode=["off", "full", "off", "reuse", "full", "reuse"], scale=0.5, order=1)
    knobs = one.canonical().methods["guidance"]
    assert isinstance(knobs, Guidance)
    assert knobs.scale == (1.0, 0.5, 1.0, 0.5, 0.5, 0.5)
    assert knobs.order == (0, 0, 0, 0, 0, 1)
    thirds = strategy("sd1", early=0.5, late=2.0)
    assert thirds.digest == strategy("sd1", scale=[0.5, 0.5, 1.0, 1.0, 2.0, 2.0]).digest
    assert strategy("sd1", mode="full").digest == unet_pipelines.strategy({}).digest


def test_kept_values_of_a_half_that_sat_out_are_computed_again() -> None:
    """The rule of `strategies.halves`, in the normal form of each method that keeps something."""
    modes = ["full", "off", "off", "full", "off", "full"]

    def normal(family: str, **methods: Any) -> Any:
        made = Strategy.create(
            family=family, scheduler="-", steps=6, calls=6,
            methods=methods | {"guidance": {"mode": modes}},
        )  # fmt: skip
        assert made.canonical().canonical() == made.canonical()
        assert made.canonical().digest == made.digest
        return made.canonical().methods

    depths = normal("unet", deepcache={"depth": ["full", 1, "full", 1, 1, 0]})["deepcache"].depth
    assert depths == ("full", 1, "full", "full", 1, "full")  # 4 made a new prediction.
    attn = [True, False, True, False, False, False]
    fora = normal("dit", fora={"attn": attn})["fora"]
    assert fora.attn == (True, False, True, True, False, False)
    kept = normal("unet", blockcache={"refresh": {"a": [0, 2]}, "compute": attn})["blockcache"]
    assert kept.refresh == {"a": (0, 2, 3)}
    assert kept.compute == (True, False, True, True, False, False)
    pairs = normal("unet", catome={"threshold": 0.7, "checkpoints": [0, 4]})["catome"].checkpoints
    assert pairs == (0, 4, 5)
    toca = normal("dit", toca={"ratio": [1.0, 0.5, 1.0, 0.5, 0.5, 0.5]})["toca"]
    assert toca.ratio == (1.0, 0.5, 1.0, 1.0, 0.5, 0.5)
    cat = normal("dit", cat={"alpha": [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]})["cat"]
    assert cat.alpha == (1.0, 1.0, 1.0, 1.0, 0.5, 0.5)
    tgate = normal("unet", tgate={"self_interval": 4, "cross_interval": 4, "warmup": 0})["tgate"]
    assert tgate.also == (5,)


def test_t_gate_ends_guidance_for_good() -> None:
    """Behind its gate guidance per call has nothing to say, and both halves run just before."""
    made = unet_pipelines.strategy(
        {"tgate": {"gate": 3}, "guidance": {"mode": ["full", *["off"] * 5], "scale": 2.0}}
    )
    knobs = made.canonical().methods["guidance"]
    assert isinstance(knobs, Guidance)
    assert knobs.mode == ("full", "off", "full", "full", "full", "full")
    assert knobs.scale == (2.0, 1.0, 2.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("calls", [4, 5, 8, 10, 25, 50])
def test_starts_and_resampling_are_sound(calls: int) -> None:
    for knobs in Guidance.starts(calls):
        one = strategy("sd1", calls, **knobs.compact())
        for other in (1, 3, calls - 1, 2 * calls, 51):
            moved = one.resample(calls=other).methods["guidance"]
            assert isinstance(moved, Guidance)
            full = sum(mode == "full" for mode in knobs.mode)
            wanted = max(1, round(full * other / calls))
            assert abs(sum(mode == "full" for mode in moved.mode) - wanted) <= 1
