"""Settings of a strategy's solver: the steps are those of the pipeline set up by hand."""

from __future__ import annotations

import inspect
import json
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

import accel
import strategies
from accel.solvers import schedulers
from strategies import SearchSpace, Strategy, StrategyError
from strategies.solver_settings import FINALS, SPACINGS, SPREADS, TABLE, Takes
from strategies.solvers import DIFFUSION, EITHER, FLOW, calls_of
from tests.support.pipelines import unet_pipelines
from tests.support.pipelines.transformer_pipelines import build as transformer
from tests.support.pipelines.transformer_pipelines import draw as draw_transformer
from zoo import tiny_sd

HERE = sorted((DIFFUSION | EITHER | FLOW) - {"DPMSolverSDEScheduler"})  # It needs torchsde.
WORDS = {"spacing": "timestep_spacing", "order": "solver_order", "final": "final_sigmas_type"}


def by_hand(setting: str, value: Any) -> dict[str, Any]:
    """As a user writes it into `from_config`."""
    if setting == "sigmas":
        return {f"use_{rule}_sigmas": rule == value for rule in SPREADS}
    return {WORDS[setting]: value}


def cases() -> list[Any]:
    """All values of all settings; by default one of each setting of each solver, in turns."""
    rows: list[Any] = []
    for turn, name in enumerate(HERE):
        takes = TABLE[name]
        settings: dict[str, tuple[Any, ...]] = {"spacing": takes.spacing, "sigmas": takes.spreads}
        settings |= {"order": takes.orders, "final": takes.final}
        for setting, values in settings.items():
            for place, value in enumerate(values):
                marks = [] if turn % len(values) == place else [pytest.mark.slow]
                rows.append(pytest.param(name, setting, value, marks=marks))
    return rows


def model_of(name: str) -> Any:
    """The solver of a model that `name` draws with."""
    if name in FLOW:
        return diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    return tiny_sd.scheduler()


@pytest.mark.parametrize(("name", "setting", "value"), cases())
def test_timesteps_are_those_of_the_solver_set_up_by_hand(
    name: str, setting: str, value: Any
) -> None:
    own = model_of(name)
    extra = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    theirs = getattr(diffusers, name).from_config(own.config, **by_hand(setting, value), **extra)
    mine = schedulers.make(own, f"{name}({setting}={value})")
    for steps in (4, 7, 20):
        mine.set_timesteps(steps)
        theirs.set_timesteps(steps)
        assert torch.equal(mine.timesteps, theirs.timesteps)
        if hasattr(theirs, "sigmas"):
            assert torch.equal(torch.as_tensor(mine.sigmas), torch.as_tensor(theirs.sigmas))
        assert len(mine.timesteps) == calls_of(name, steps)
        assert getattr(mine.config, "solver_order", None) == getattr(
            theirs.config, "solver_order", None
        )


def test_the_table_is_what_the_classes_take() -> None:
    """Every setting that a class has, and no other; LCM and TCD do not read their spacing."""
    for name in HERE:
        takes = inspect.signature(getattr(diffusers, name).__init__).parameters
        steps = inspect.signature(getattr(diffusers, name).set_timesteps).parameters
        unread = name in ("LCMScheduler", "TCDScheduler")
        flows = name == "UniPCMultistepScheduler"  # It takes a list for flow models alone.
        found = Takes(
            spacing=SPACINGS if "timestep_spacing" in takes and not unread else (),
            spreads=SPREADS if "use_karras_sigmas" in takes else (),
            listed="sigmas" in steps and not flows,
            orders=(1, 2, 3) if "solver_order" in takes else (),
            final=FINALS if "final_sigmas_type" in takes else (),
        )
        assert TABLE[name] == found, name
    assert set(TABLE) == DIFFUSION | EITHER | FLOW


SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("DDIMScheduler", {"spacing": "trailing"}),
    ("DPMSolverMultistepScheduler", {"sigmas": "karras", "order": 3, "final": "zero"}),
    ("EulerDiscreteScheduler", {"sigmas": [12.0, 5.0, 2.0, 0.8, 0.3, 0.1]}),
]


def of(name: str, solver: dict[str, Any], steps: int = 6, **methods: Any) -> Strategy:
    return Strategy.create(
        family="unet", scheduler=name, solver=solver, steps=steps, calls=steps, methods=methods
    )


@pytest.mark.parametrize("task", ["text2img", "img2img"])
@pytest.mark.parametrize(("name", "solver"), SETTINGS)
def test_images_are_those_of_the_pipeline_set_up_by_hand(
    name: str, solver: dict[str, Any], task: str
) -> None:
    pipe, other = unet_pipelines.build("sd1", task), unet_pipelines.build("sd1", task)
    given: dict[str, Any] = {"strength": 0.7} if task == "img2img" else {}
    hand: dict[str, Any] = {}
    for setting, value in solver.items():
        if not isinstance(value, list):
            hand |= by_hand(setting, value)
    other.scheduler = getattr(diffusers, name).from_config(other.scheduler.config, **hand)
    if isinstance(solver.get("sigmas"), list):
        given |= {"sigmas": [*solver["sigmas"], 0.0]}  # Euler's wants the end as well.
    theirs = unet_pipelines.draw(other, **given)
    before = pipe.scheduler
    with accel.accelerated(pipe, of(name, solver), set_scheduler=True):
        mine = unet_pipelines.draw(pipe, **{k: v for k, v in given.items() if k != "sigmas"})
        assert len(accel.stats(pipe)) == (4 if task == "img2img" else 6)
    assert torch.equal(mine, theirs)
    assert pipe.scheduler is before


def test_a_list_of_a_flow_model() -> None:
    sigmas = [1.0, 0.8, 0.6, 0.4, 0.2, 0.1]
    pipe = transformer("sd3")
    one = Strategy.create(
        family="mmdit", scheduler="FlowMatchEulerDiscreteScheduler", steps=6, calls=6,
        solver={"sigmas": sigmas},
    )  # fmt: skip
    theirs = draw_transformer(transformer("sd3"), sigmas=sigmas)
    accel.apply(pipe, one, set_scheduler=True)
    assert torch.equal(draw_transformer(pipe), theirs)


def test_a_pipeline_that_has_the_settings_already_is_taken() -> None:
    pipe = unet_pipelines.build("sd1")
    one = of("DDIMScheduler", {"spacing": "trailing"})
    with pytest.raises(StrategyError, match=r"DDIMScheduler\(spacing=trailing\).*set_scheduler"):
        accel.apply(pipe, one)
    pipe.scheduler = type(pipe.scheduler).from_config(
        pipe.scheduler.config, timestep_spacing="trailing"
    )
    before = pipe.scheduler
    accel.apply(pipe, one)
    assert pipe.scheduler is before
    unet_pipelines.draw(pipe)


def test_files_keep_the_settings_and_old_ones_stay_as_they_were() -> None:
    old = unet_pipelines.strategy({"deepcache": {"depth": 1}})
    assert "solver" not in json.loads(strategies.dump(old))
    assert old.resample(calls=9).solver == old.solver
    for name, solver in SETTINGS:
        one = of(name, solver)
        again = strategies.parse(strategies.dump(one))
        assert again == one
        assert again.digest == one.digest != of(name, {}).digest
        assert (
            Strategy.create(**one.to_json() | {"scheduler": one.solver_text, "solver": {}}) == one
        )
        assert one.resample(steps=12).solver.given().keys() == one.solver.given().keys()
        assert one.resample(calls=6, steps=6, scheduler="DDIMScheduler").solver_text == (
            "DDIMScheduler"
        )
    moved = of(*SETTINGS[2]).resample(calls=3, steps=3).solver.sigmas
    assert moved == (12.0, 2.0, 0.3)


@pytest.mark.parametrize(
    ("name", "solver", "said"),
    [
        ("DDIMScheduler", {"spacing": "random"}, "solver.spacing is 'random'"),
        ("DDIMScheduler", {"sigmas": "karras"}, "DDIMScheduler has no sigmas; leave it out"),
        ("DDIMScheduler", {"speed": 3}, "solver.speed is an unknown field"),
        ("DEISMultistepScheduler", {"order": 4}, "solver.order is 4, but .* takes 1, 2, 3"),
        ("DEISMultistepScheduler", {"sigmas": [3.0] * 6}, "a list', but .* takes karras"),
        ("EulerDiscreteScheduler", {"sigmas": [3.0, 2.0]}, "has 2 values, but .* makes 6 steps"),
        ("EulerDiscreteScheduler", {"sigmas": [3.0] * 6}, "has 3 after 3; give falling values"),
        ("EulerDiscreteScheduler", {"sigmas": "often"}, "sigmas is 'often'; give karras"),
        ("DDIMScheduler(spacing)", {}, "give a class name, or one with settings such as"),
        ("DDIMScheduler(spacing=trailing)", {"spacing": "leading"}, "in one of them"),
    ],
)
def test_bad_settings_are_one_line(name: str, solver: dict[str, Any], said: str) -> None:
    with pytest.raises(StrategyError, match=said) as caught:
        of(name, solver)
    assert "\n" not in str(caught.value)


def test_what_a_flow_model_cannot_take_is_refused() -> None:
    flow = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    with pytest.raises(StrategyError, match=r"solver\.spacing is trailing.*flow's own"):
        schedulers.make(flow, "DPMSolverMultistepScheduler(spacing=trailing)")
    made = schedulers.make(flow, "DPMSolverMultistepScheduler(order=3)")
    assert made.config.solver_order == 3
    pipe = unet_pipelines.build("sd1")
    accel.apply(pipe, of(*SETTINGS[2]), set_scheduler=True)
    with pytest.raises(StrategyError, match="asks for 4 steps, but the strategy's solver"):
        unet_pipelines.draw(pipe, 4)


def test_a_space_chooses_between_settings() -> None:
    solvers = ["DDIMScheduler", "DDIMScheduler(spacing=trailing)"]
    calls = {(solver, n): n for solver in solvers for n in (4, 6)}
    space = SearchSpace("unet", solvers, [4, 6], calls, [])
    rng = np.random.default_rng(0)
    for _ in range(20):
        genome = tuple(int(rng.integers(0, size)) for size in space.sizes)
        one = space.decode(genome)
        assert one.solver_text == solvers[genome[0]]
        assert space.encode(one) == genome
