"""Everything that `accel.apply` takes, and the callable that brings the settings along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import accel
import strategies
from strategies import StrategyError, rules
from tests.support.pipelines import transformer_pipelines, unet_pipelines
from tests.support.pipelines.unet_pipelines import build, draw, strategy


def depths(pipe: Any) -> list[Any]:
    return [record.depth for record in accel.stats(pipe)]


def fitted(name: str, scheduler: str, calls: int) -> strategies.Strategy:
    found = rules.find_rule(name)
    assert found is not None
    return found.fitted("unet", scheduler, calls)


def test_a_rule_fits_every_solver_and_number_of_steps() -> None:
    pipe = build("sdxl")
    plain = draw(pipe)
    accel.apply(pipe, "deepcache-n3")
    for steps in (6, 4, 6):
        fast = draw(pipe, steps)
        assert depths(pipe) == ["full" if call % 3 == 0 else 1 for call in range(steps)]
        own = build("sdxl")
        accel.apply(own, fitted("deepcache-n3", "DDIMScheduler", steps))
        assert torch.equal(draw(own, steps), fast)
    accel.apply(pipe, "deepcache-n2+tgate-0.5")
    kind = pipe.scheduler
    from diffusers import HeunDiscreteScheduler

    pipe.scheduler = HeunDiscreteScheduler.from_config(kind.config)
    draw(pipe, 4)
    assert depths(pipe) == ["full", 1, "full", 1, "full", 1, "full"]
    pipe.scheduler = kind
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)
    assert "forward" not in vars(pipe.unet)


def test_a_rule_goes_by_the_whole_schedule_of_image_to_image() -> None:
    pipe = build("sd1", "img2img")
    accel.apply(pipe, "deepcache-n2")
    draw(pipe, 8, strength=0.5)
    assert [record.call for record in accel.stats(pipe)] == [4, 5, 6, 7]
    assert depths(pipe) == ["full", 1, "full", 1]


@pytest.mark.parametrize("name", ["fora-n2", "deltacache-n2", "cache-dit-fast"])
def test_rules_of_transformers(name: str) -> None:
    pipe = transformer_pipelines.build("sd3")
    plain = transformer_pipelines.draw(pipe)
    accel.apply(pipe, name)
    assert not torch.equal(transformer_pipelines.draw(pipe), plain)
    accel.remove(pipe)
    assert torch.equal(transformer_pipelines.draw(pipe), plain)


def test_lists_say_what_they_were_made_for_and_are_stretched_on_request() -> None:
    pipe = build("sd1")
    with pytest.raises(
        StrategyError, match=r"51 calls of 50 steps of PNDMScheduler .*Table 6.*has DDIMScheduler"
    ):
        accel.apply(pipe, "dato-b1")
    accel.apply(pipe, "catome-config-3", resample=True)
    for steps in (6, 8):
        draw(pipe, steps)
        one = strategies.load("catome-config-3").resample(steps, steps, "DDIMScheduler")
        own = build("sd1")
        accel.apply(own, one)
        assert torch.equal(draw(own, steps), draw(pipe, steps))


def test_a_run_a_file_and_a_pulled_folder(tmp_path: Path) -> None:
    one = strategy({"deepcache": {"depth": ["full", 1, 0, "full", 1, 0]}})
    run = tmp_path / "run" / "strategies"
    run.mkdir(parents=True)
    strategies.save(one, run / "knee.json")
    strategies.save(strategy({"tome": {"ratio": 0.5}}), run / "01-2.0x.json")
    pulled = tmp_path / "pulled"
    pulled.mkdir()
    strategies.save(one, pulled / "found.json")
    pipe = build("sd1")
    for source in (one, run / "knee.json", str(run.parent), pulled):
        accel.apply(pipe, source)
        draw(pipe)
        assert depths(pipe) == ["full", 1, 0, "full", 1, 0]


def test_the_callable_passes_steps_guidance_and_solver() -> None:
    one = strategy(
        {"deepcache": {"depth": ["full", 1, 1, "full", 1]}}, 5, scheduler="EulerDiscreteScheduler"
    ).model_copy(update={"provenance": {"guidance": 3.0}})
    given: dict[str, Any] = {"prompt": "a large red circle", "output_type": "latent"}

    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(1)

    pipe = build("sd1")
    own = pipe.scheduler
    with accel.accelerated(pipe, one) as fast:
        found = fast(**given, generator=seeded()).images
        assert type(fast.scheduler).__name__ == "EulerDiscreteScheduler"
        assert fast.strategy == one
        stronger = fast(**given, generator=seeded(), guidance_scale=6.0).images
        with pytest.raises(StrategyError, match="the strategy is for 5"):
            fast(**given, num_inference_steps=7)
        by_hand = pipe(
            **given, generator=seeded(), num_inference_steps=5, guidance_scale=3.0
        ).images
    assert torch.equal(found, by_hand)
    assert not torch.equal(found, stronger)
    assert pipe.scheduler is own
    with pytest.raises(StrategyError, match="no strategy is applied"):
        fast(**given)
    with accel.accelerated(pipe, "deepcache-n2") as fast:
        fast(**given, num_inference_steps=3)
        assert depths(pipe) == ["full", 1, "full"]
        assert fast.strategy is None
        fast.note = "of the pipeline"
    assert pipe.note == "of the pipeline"


def test_a_rule_is_refused_before_anything_runs() -> None:
    pipe = unet_pipelines.build("sd1")
    with pytest.raises(StrategyError, match="family dit or mmdit or transformer"):
        accel.apply(pipe, "fora-n2")
    with pytest.raises(StrategyError, match="did you mean 'deepcache-n3'"):
        accel.apply(pipe, "deepcach-n3")
    with pytest.raises(StrategyError, match="holds no strategy"):
        accel.apply(pipe, {})
