"""Several strategies on one pipeline, chosen from call to call."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

import accel
from strategies import StrategyError
from tests.support.pipelines.stack_pipelines import build as build_stack
from tests.support.pipelines.stack_pipelines import draw as draw_stack
from tests.support.pipelines.unet_pipelines import STEPS, build, draw, strategy

LISTS = {
    "fast": strategy({"deepcache": {"depth": ["full", 0, 1, "full", 0, 1]}}),
    "good": strategy({"tome": {"ratio": 0.5}, "tgate": {"gate": 4}}),
    "euler": strategy(
        {"deepcache": {"depth": ["full", 1] * 3}}, scheduler="EulerDiscreteScheduler"
    ),
}
ALL: dict[str, Any] = LISTS | {"rule": "deepcache-n2+tome-0.5"}


def alone(name: str) -> torch.Tensor:
    pipe = build("sd1")
    accel.apply(pipe, ALL[name], set_scheduler=True)
    return draw(pipe)


def test_every_choice_is_as_if_it_were_alone() -> None:
    pipe = build("sd1")
    plain, own = draw(pipe), pipe.scheduler
    accel.apply(pipe, ALL)
    attached = pipe.unet.forward
    wanted = {name: alone(name) for name in ALL} | {None: plain}
    assert torch.equal(draw(pipe), wanted["fast"])
    for name in ("good", "fast", None, "euler", "rule", "euler", None, "good", "rule", "fast"):
        fast = accel.choose(pipe, name)
        assert torch.equal(draw(fast), wanted[name]), name
        assert (type(pipe.scheduler).__name__ == "EulerDiscreteScheduler") == (name == "euler")
        assert pipe.unet.forward is attached
    accel.choose(pipe, "euler")
    accel.remove(pipe)
    assert pipe.scheduler is own
    assert torch.equal(draw(pipe), plain)
    assert "forward" not in vars(pipe.unet)
    assert "progress_bar" not in vars(pipe)


def test_the_records_are_those_of_the_chosen_one() -> None:
    pipe = build("sd1")
    accel.apply(pipe, {name: ALL[name] for name in ("fast", "good")})
    draw(accel.choose(pipe, "fast"))
    assert [record.depth for record in accel.stats(pipe)] == ["full", 0, 1, "full", 0, 1]
    accel.choose(pipe, None)
    with pytest.raises(StrategyError, match="no strategy is chosen"):
        accel.stats(pipe)


def test_a_generation_that_failed_leaves_nothing_to_the_next_choice() -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("stop")

    pipe = build("sd1")
    accel.apply(pipe, ALL)
    with pytest.raises(RuntimeError, match="stop"):
        draw(pipe, callback_on_step_end=fail)
    assert torch.equal(draw(accel.choose(pipe, "good")), alone("good"))
    assert torch.equal(draw(accel.choose(pipe, "fast")), alone("fast"))


def test_no_choice_while_a_generation_runs() -> None:
    pipe = build("sd1")
    accel.apply(pipe, ALL)
    told: list[str] = []

    def other(*_: Any) -> dict[str, Any]:
        def choose() -> None:
            with pytest.raises(StrategyError, match="generates right now") as error:
                accel.choose(pipe, "good")
            told.append(str(error.value))

        thread = threading.Thread(target=choose)
        thread.start()
        thread.join()
        return {}

    found = draw(pipe, callback_on_step_end=other)
    assert len(told) == STEPS
    assert torch.equal(found, alone("fast"))


def test_a_name_that_is_not_there() -> None:
    pipe = build("sd1")
    with pytest.raises(StrategyError, match="nothing to choose from"):
        accel.choose(pipe, "fast")
    accel.apply(pipe, ALL)
    with pytest.raises(StrategyError, match="did you mean 'euler'"):
        accel.choose(pipe, "eular")
    with pytest.raises(StrategyError, match="is for family dit"):
        accel.apply(pipe, {"one": LISTS["fast"], "other": "fora-n2"})
    assert "forward" not in vars(pipe.unet)


def test_a_model_of_two_networks() -> None:
    pipe = build_stack("wan22")
    plain = draw_stack(pipe, "wan22")
    wanted = {}
    for name in ("deltacache-n2", "fora-n3"):
        accel.apply(pipe, name)
        wanted[name] = draw_stack(pipe, "wan22")
        accel.remove(pipe)
    accel.apply(pipe, {name: name for name in wanted})
    for name in ("fora-n3", "deltacache-n2", "fora-n3"):
        accel.choose(pipe, name)
        assert torch.equal(draw_stack(pipe, "wan22"), wanted[name])
    accel.choose(pipe, None)
    assert torch.equal(draw_stack(pipe, "wan22"), plain)
