"""The time around the denoiser on a CPU: measured without computing every pass."""

from __future__ import annotations

import pytest
import torch

import accel
from evaluate import Evaluator, read_model
from evaluate.speed import latency_measurement as measuring
from evaluate.speed.repeated_passes import repeated_passes
from tests.support.pipelines.pipeline_states import build, draw, network


@pytest.mark.parametrize("model", ["sd1", "pixart", "sd3", "flux", "dit"])
def test_a_denoiser_computes_its_first_pass_only(model: str) -> None:
    pipe = build(model)
    plain = draw(pipe, steps=4)
    before = dict(vars(network(pipe)))
    passes: list[int] = []
    inside = next(part for part in network(pipe).modules() if isinstance(part, torch.nn.Linear))
    hook = inside.register_forward_hook(lambda *_: passes.append(1))
    solver = measuring.unaccelerated_strategy(pipe, type(pipe.scheduler).__name__, 4)
    with repeated_passes(pipe), accel.accelerated(pipe, solver):
        draw(pipe, steps=4)
        assert len(accel.stats(pipe)) >= 1
    once = len(passes)
    assert torch.equal(draw(pipe, steps=4), plain)
    assert len(passes) >= 4 * once + once  # All of its passes again, and the first one before.
    hook.remove()
    assert {key: one for key, one in vars(network(pipe)).items() if key == "forward"} == {
        key: one for key, one in before.items() if key == "forward"
    }


def test_the_time_around_takes_one_pass_for_each_generation() -> None:
    evaluator = Evaluator(read_model("tiny-sd"))
    pipe, prompts = evaluator.pipe, evaluator.prompts["search"]
    passes: list[int] = []
    pipe.unet.conv_in.register_forward_hook(lambda *_: passes.append(1))
    found = measuring.time_around(pipe, evaluator.config, prompts, ["DDIMScheduler"])
    assert [one.calls for one in found] == [4, 12]
    assert len(passes) == 2
    assert all(one.seconds > 0 for one in found)
