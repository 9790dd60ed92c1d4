"""Exchanged solvers draw the same model: every pair, against images that are known exactly."""

from __future__ import annotations

import json
from typing import Any

import diffusers
import pytest
import torch

import accel
import zoo
from accel.solvers import schedulers
from strategies import Strategy, StrategyError
from strategies.solvers import DIFFUSION, EITHER, FLOW
from tests.support.pipelines import transformer_pipelines, unet_pipelines
from tests.support.pipelines.analytic_model import MEAN, SPREAD, model_of, solve
from tests.support.pipelines.unet_pipelines import spread

NOISY = {
    f"{name}Scheduler"
    for name in (
        "DDPM", "DDPMParallel", "EulerAncestralDiscrete", "KDPM2AncestralDiscrete", "SASolver",
        "LCM", "TCD", "FlowMatchLCM",
    )
}  # fmt: skip
FEW_STEPS = {"LCMScheduler", "TCDScheduler", "FlowMatchLCMScheduler"}  # Biased at many, by design.
SDE = {"DPMSolverSDEScheduler"}  # Needs torchsde, which is not installed with this project.
SOLVERS = sorted((DIFFUSION | EITHER) - SDE)
FLOWS = sorted(FLOW | EITHER)
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
NOISE = torch.randn(1, 512, 1, 1, generator=torch.Generator().manual_seed(0))


def built(name: str, **settings: Any) -> Any:
    """A solver with its class's own defaults for all that is not said, as it is loaded again."""
    kind = getattr(diffusers, name)
    for switch in ("clip_sample", "thresholding"):
        if switch in schedulers._taken(kind()):
            settings.setdefault(switch, False)
    return saved(kind(**settings))


def saved(scheduler: Any) -> Any:
    """What diffusers reads from the file that it writes."""
    return type(scheduler).from_config(json.loads(scheduler.to_json_string()))


def distance(made: Any, model: Any, steps: int, start: float) -> float:
    """Of what a solver draws to the known images, relative."""
    true = model.image(NOISE, start)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        drawn = solve(made, model, NOISE, steps)
    if type(made).__name__ in NOISY:  # Other images of the same data.
        return max(abs(float(drawn.mean()) - MEAN), abs(float(drawn.std()) - SPREAD)) / 5
    return float((drawn - true).norm() / true.norm())


@pytest.mark.parametrize(("own", "name", "predicts"), spread(
    SOLVERS, [s for s in SOLVERS if s not in FEW_STEPS], ["epsilon", "v_prediction"], every=34
))  # fmt: skip
@pytest.mark.parametrize("betas", [SD, {}], ids=["named", "defaults"])
def test_every_pair_draws_the_same_model(
    own: str, name: str, predicts: str, betas: dict[str, Any]
) -> None:
    """With 50 steps; solvers of first order are 0.026 off (DDIM) to 0.034 (PNDM, predicting v).

    Wrong betas give 0.1 and more, clipping 0.4, a wrong prediction 1 and more.
    """
    before = built(own, prediction_type=predicts, **betas)
    made = schedulers.make(before, name)
    assert distance(made, model_of(before), 50, 999) < 0.05


@pytest.mark.parametrize("own", ["FlowMatchEulerDiscreteScheduler", *sorted(EITHER)])
@pytest.mark.parametrize("dynamic", [False, True])
def test_every_pair_of_a_flow_model(own: str, dynamic: bool) -> None:
    """With 100 steps; at 200 the largest distance is 0.014, of DEIS."""
    before: Any = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=dynamic)
    if own in EITHER:
        if dynamic and own == "SASolverScheduler":
            with pytest.raises(StrategyError, match="use_dynamic_shifting"):
                schedulers.make(before, own)
            return
        before = schedulers.make(before, own)
    before = saved(before)
    for name in FLOWS:
        if dynamic and name in ("FlowMatchHeunDiscreteScheduler", "SASolverScheduler"):
            with pytest.raises(StrategyError, match="use_dynamic_shifting"):
                schedulers.make(before, name)
            continue
        made = schedulers.make(before, name)
        assert schedulers.is_flow(made)
        if name not in FEW_STEPS:
            assert distance(made, model_of(before), 100, 1000) < 0.05


def test_a_shift_set_by_hand_is_kept() -> None:
    before = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    before.set_shift(5.0)
    assert schedulers.make(before, "UniPCMultistepScheduler").config.flow_shift == 5.0
    assert schedulers.make(before, "FlowMatchHeunDiscreteScheduler").config.shift == 5.0


@pytest.mark.parametrize("name", [s for s in SOLVERS if s not in FEW_STEPS | NOISY])
def test_clipping_is_kept_or_refused_and_never_switched_on(name: str) -> None:
    plain = built("DPMSolverMultistepScheduler", **SD)
    made = schedulers.make(plain, name)
    assert not made.config.get("clip_sample", False) or "clip_sample" not in schedulers._taken(made)
    clips = saved(diffusers.DDIMScheduler(**SD))
    if "clip_sample" in schedulers._taken(made):
        assert schedulers.make(clips, name).config.clip_sample is True
    else:
        with pytest.raises(StrategyError, match=r"clip_sample=True.*clip_sample=False"):
            schedulers.make(clips, name)


@pytest.mark.parametrize("name", SOLVERS)
def test_zero_terminal_snr_is_kept_with_its_spacing_or_refused(name: str) -> None:
    settings = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    before = built("DDIMScheduler", prediction_type="v_prediction", **SD, **settings)
    if "rescale_betas_zero_snr" not in schedulers._taken(getattr(diffusers, name)()):
        with pytest.raises(StrategyError, match="rescale_betas_zero_snr"):
            schedulers.make(before, name)
        return
    made = schedulers.make(before, name)
    assert {key: made.config[key] for key in settings} == settings
    assert float(made.alphas_cumprod[-1]) < 1e-6


REFUSED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "another parametrisation": ("EDMEulerScheduler", {}, "DDIMScheduler", "noise schedule"),
    "a prediction it lacks": (
        "DDIMScheduler", {"prediction_type": "sample"}, "KDPM2DiscreteScheduler", "sample",
    ),
    "a prediction PNDM lacks": (
        "DDIMScheduler", {"prediction_type": "sample"}, "PNDMScheduler", "prediction_type",
    ),
    "a learned variance": (
        "DDPMScheduler", {"variance_type": "learned_range"}, "DDIMScheduler", "variance_type",
    ),
    "an inverse solver": ("DDIMScheduler", {}, "DDIMInverseScheduler", "use one of"),
    "another library's step": ("DDIMScheduler", {}, "CogVideoXDPMScheduler", "use one of"),
    "a solver of flow models": (
        "DDIMScheduler", {}, "FlowMatchEulerDiscreteScheduler", "for flow models",
    ),
    "a solver of diffusion models": (
        "FlowMatchEulerDiscreteScheduler", {}, "EulerDiscreteScheduler", "for diffusion models",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case: str) -> None:
    own, settings, name, reason = REFUSED[case]
    kind = getattr(diffusers, own)
    if "clip_sample" in schedulers._taken(kind()):
        settings = settings | {"clip_sample": False}
    with pytest.raises(StrategyError, match=reason) as caught:
        schedulers.make(kind(**settings), name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("half", [
    {"use_flow_sigmas": True}, {"prediction_type": "flow_prediction"},
])  # fmt: skip
def test_half_a_setting_for_flow_is_refused(half: dict[str, Any]) -> None:
    pipe = transformer_pipelines.build("sd3")
    pipe.scheduler = diffusers.DPMSolverMultistepScheduler(**half)
    one = transformer_pipelines.strategy("sd3", {}, scheduler="DPMSolverMultistepScheduler")
    with pytest.raises(StrategyError, match="use_flow_sigmas=True with prediction_type"):
        accel.apply(pipe, one)


@pytest.mark.parametrize("model", ["sd3", "flux"])
@pytest.mark.parametrize("name", sorted((DIFFUSION | EITHER) - SDE))
def test_flow_models_get_flow_solvers_or_none(model: str, name: str) -> None:
    """As configured by hand, bit for bit; a solver that cannot is refused at `apply`."""
    pipe = transformer_pipelines.build(model)
    own = pipe.scheduler
    calls = {True: 11}.get(name in ("HeunDiscreteScheduler",), 6)
    one = transformer_pipelines.strategy(model, {}, calls=calls, steps=6, scheduler=name)
    if name in DIFFUSION or (model == "flux" and name == "SASolverScheduler"):
        with pytest.raises(StrategyError, match=f"{name} does not fit this flow model"):
            accel.apply(pipe, one, set_scheduler=True)
        assert pipe.scheduler is own
        return
    settings: dict[str, Any] = {
        "use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0,
    }  # fmt: skip
    settings["num_train_timesteps"] = 1000
    if model == "flux":
        settings["use_dynamic_shifting"] = True
    torch.manual_seed(0)
    accel.apply(pipe, one, set_scheduler=True)
    mine = transformer_pipelines.draw(pipe)
    accel.remove(pipe)
    assert pipe.scheduler is own
    pipe.scheduler = getattr(diffusers, name)(**settings)
    torch.manual_seed(0)
    assert torch.equal(transformer_pipelines.draw(pipe), mine)


def test_flux_schnell_takes_solvers_that_take_its_shift() -> None:
    """Its solver has no dynamic shift, but its pipeline hands one over."""
    pipe = transformer_pipelines.build("flux")
    pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0)
    for name, fits in (("UniPCMultistepScheduler", True), ("DPMSolverMultistepScheduler", False)):
        one = transformer_pipelines.strategy("flux", {}, scheduler=name)
        if fits:
            with accel.accelerated(pipe, one, set_scheduler=True):
                assert torch.isfinite(transformer_pipelines.draw(pipe)).all()
        else:
            with pytest.raises(StrategyError, match="use_dynamic_shifting=True"):
                accel.apply(pipe, one, set_scheduler=True)
    pipe.scheduler = diffusers.FlowMatchHeunDiscreteScheduler(shift=1.0)
    heun = transformer_pipelines.strategy(
        "flux", {}, calls=11, steps=6, scheduler="FlowMatchHeunDiscreteScheduler"
    )
    with pytest.raises(StrategyError, match="no mu and no sigmas"):
        accel.apply(pipe, heun)


@pytest.mark.parametrize("model", ["sd3", "flux"])
def test_an_unfit_solver_of_the_user_is_refused(model: str) -> None:
    pipe = transformer_pipelines.build(model)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    for name, swap in (("DDIMScheduler", False), ("FlowMatchEulerDiscreteScheduler", True)):
        one = transformer_pipelines.strategy(model, {}, scheduler=name)
        with pytest.raises(StrategyError, match="is a flow model, but the pipeline's DDIM"):
            accel.apply(pipe, one, set_scheduler=swap)


@pytest.mark.parametrize("model", ["sd1", "pixart", "dit"])
def test_a_flow_solver_on_a_diffusion_model_is_refused(model: str) -> None:
    pipe = unet_pipelines.build() if model == "sd1" else transformer_pipelines.build(model)
    pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    one = Strategy.create(
        family="unet" if model == "sd1" else "dit",
        scheduler="FlowMatchEulerDiscreteScheduler",
        steps=4,
        calls=4,
        methods={},
    )
    with pytest.raises(StrategyError, match="is for flow models, but pipelines with"):
        accel.apply(pipe, one)


@pytest.mark.parametrize("own", ["DPMSolverMultistepScheduler", "EulerDiscreteScheduler"])
def test_an_exchanged_ddim_draws_what_the_models_own_solver_draws(own: str) -> None:
    """On trained weights; with clipping the distance is 0.48."""
    pipe = zoo.load("tiny-pixart")
    pipe.set_progress_bar_config(disable=True)
    kind = getattr(diffusers, own)
    takes = schedulers._taken(kind())
    known = {k: v for k, v in pipe.scheduler.config.items() if k in takes and k[0] != "_"}
    pipe.scheduler = kind(**known)

    def drawn() -> torch.Tensor:
        return transformer_pipelines.draw(pipe, steps=25)

    wanted = drawn()
    one = transformer_pipelines.strategy("pixart", {}, calls=25, scheduler="DDIMScheduler")
    with accel.accelerated(pipe, one, set_scheduler=True):
        got = drawn()
    assert float((got - wanted).pow(2).mean().sqrt()) < 0.12
