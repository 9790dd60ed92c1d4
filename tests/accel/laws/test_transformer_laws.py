"""Laws 1 to 4, 6 and 9 of every method on transformers, for each method on each topology."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch

import accel
from accel.solvers import schedulers
from strategies import StrategyError, registered_methods
from tests.support.pipelines.law_cases import cases, law
from tests.support.pipelines.transformer_pipelines import (
    ALL,
    JOINT,
    MODELS,
    NEUTRAL,
    STRONG,
    InTheMiddleError,
    build,
    draw,
    failing,
    fresh,
    last_block,
    neutral,
    scheduler_of,
    strategy,
)


def test_every_registered_method_is_tested() -> None:
    found = {
        n for n, knobs in registered_methods().items() if {"dit", "mmdit"} & set(knobs.families)
    }
    assert found == set(NEUTRAL) == set(STRONG)
    assert {method for methods in JOINT.values() for method in methods} <= set(registered_methods())


@law(1)
@pytest.mark.parametrize(("model", "name"), cases(1))
def test_law_1_neutral_knobs_change_nothing(model: str, name: str) -> None:
    pipe = build(model)
    accel.apply(pipe, strategy(model, neutral(name)))
    assert torch.equal(draw(pipe), fresh(model))


def traces(pipe: Any) -> list[str]:
    found = [n for n, m in pipe.transformer.named_modules() if "forward" in m.__dict__]
    hooked = pipe.transformer.named_modules()
    return found + [n for n, m in hooked if m._forward_hooks or m._forward_pre_hooks]


def attributes(pipe: Any) -> set[str]:
    inner = {f"{n}.{key}" for n, m in pipe.transformer.named_modules() for key in vars(m)}
    return set(vars(pipe)) | set(vars(pipe.scheduler)) | inner


@law(2)
@pytest.mark.parametrize(("model", "name"), cases(2))
def test_law_2_remove_restores_everything(model: str, name: str) -> None:
    pipe = build(model)
    plain, before = draw(pipe), attributes(pipe)
    accel.apply(pipe, strategy(model, ALL[name]))
    mine = draw(pipe)
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)
    accel.remove(pipe)
    assert traces(pipe) == []
    assert attributes(pipe) == before
    assert torch.equal(draw(pipe), plain)


def runs_of_last(pipe: Any) -> int:
    """Number of times that the last block runs in a generation."""
    runs: list[Any] = []
    hook = last_block(pipe).register_forward_pre_hook(lambda *_: runs.append(None))
    draw(pipe)
    hook.remove()
    return len(runs)


@law(2)
@pytest.mark.parametrize(("model", "name", "after"), cases(3, [0, 2, 5]))
def test_law_2_an_exception_restores_everything(model: str, name: str, after: int) -> None:
    """In the first run of the last block, in a later one, and in the last where these are few."""
    pipe = build(model)
    plain, before = draw(pipe), attributes(pipe)
    with accel.accelerated(pipe, strategy(model, ALL[name])):
        after = min(after, runs_of_last(pipe) - 1)
    with (
        pytest.raises(InTheMiddleError),
        accel.accelerated(pipe, strategy(model, ALL[name])),
        failing(pipe, after),
    ):
        draw(pipe)
    assert traces(pipe) == []
    assert attributes(pipe) == before
    assert torch.equal(draw(pipe), plain)


@law(3)
@pytest.mark.parametrize(("model", "name"), cases(4))
def test_law_3_the_same_seed_gives_the_same_image(model: str, name: str) -> None:
    pipe = build(model)
    accel.apply(pipe, strategy(model, ALL[name]))
    first = draw(pipe)
    assert torch.equal(draw(pipe), first)
    assert not torch.equal(draw(pipe, seed=1), first)
    assert torch.equal(fresh(model, name), first)


OTHER_RUNS: dict[str, dict[str, Any]] = {
    "another batch": {"batch": 3},
    "another size": {"size": (24, 40)},
    "no guidance": {"guidance": 1.0},
    "another prompt": {"seed": 1},
}
PLACES = [0, 2, 3, 5]  # Of FLUX, with two passes a call, in the second pass too.


@law(4)
@pytest.mark.parametrize(("model", "name", "other"), cases(5, [*OTHER_RUNS, *PLACES]))
def test_law_4_no_generation_sees_another(model: str, name: str, other: str | int) -> None:
    """After one of another kind, and after one that failed in the last block of some pass."""
    pipe = build(model)
    accel.apply(pipe, strategy(model, ALL[name]))
    if isinstance(other, int):
        with pytest.raises(InTheMiddleError), failing(pipe, other):
            draw(pipe)
    elif model == "dit" and other == "another size":
        draw(pipe, batch=2)  # DiT has one size.
    else:
        draw(pipe, **OTHER_RUNS[other])
    assert torch.equal(draw(pipe), fresh(model, name))


OTHER_SOLVERS = {
    "dit": "PNDMScheduler",
    "pixart": "DPMSolverMultistepScheduler",
    "sd3": "FlowMatchHeunDiscreteScheduler",
    "sd35": "FlowMatchHeunDiscreteScheduler",
    "flux": "FlowMatchLCMScheduler",
}


@law(4)
@pytest.mark.parametrize(("model", "name"), cases(6))
def test_law_4_other_step_counts_and_schedulers(model: str, name: str) -> None:
    pipe, one = build(model), strategy(model, ALL[name])
    accel.apply(pipe, one.resample(calls=9))
    draw(pipe, 9)
    # ParaDiGMS takes solvers of order 1 alone.
    solver = scheduler_of(model) if "paradigms" in ALL[name] else OTHER_SOLVERS[model]
    calls = schedulers.count_calls(pipe.scheduler, solver, 5)
    other = one.resample(calls=calls, steps=5, scheduler=solver)
    with accel.accelerated(pipe, other, set_scheduler=True):
        assert torch.isfinite(draw(pipe, 5)).all()
        assert len({record.call for record in accel.stats(pipe)}) == calls
    accel.apply(pipe, one)
    assert torch.equal(draw(pipe), fresh(model, name))


@law(6)
@pytest.mark.parametrize(("model", "name", "guidance"), cases(7, [4.0, 1.0]))
def test_law_6_a_batch_is_its_images(model: str, name: str, guidance: float) -> None:
    # In double precision, or choices of tokens between near ties flip on rounding.
    pipe = build(model).to(dtype=torch.float64)
    accel.apply(pipe, strategy(model, ALL[name]))
    together = draw(pipe, batch=3, guidance=guidance)
    for index in range(3):
        alone = draw(pipe, seed=index, guidance=guidance)
        difference = (together[index : index + 1] - alone).norm() / alone.norm()
        assert difference < 1e-5, index


def test_an_accelerated_pipeline_can_be_forgotten() -> None:
    for model in MODELS:
        pipe = build(model)
        accel.apply(pipe, strategy(model, ALL["cat+fora"]))
        draw(pipe)
        weight = weakref.ref(pipe.transformer.proj_out_1.weight if model == "dit" else _out(pipe))
        del pipe
        gc.collect()
        assert weight() is None, model


def _out(pipe: Any) -> torch.nn.Parameter:
    weight: torch.nn.Parameter = pipe.transformer.proj_out.weight
    return weight


@law(9)
@pytest.mark.parametrize(("model", "name"), cases(0))
def test_law_9_applying_twice_replaces(model: str, name: str) -> None:
    pipe = build(model)
    for before in ("fora", "atedm", "cat"):
        accel.apply(pipe, strategy(model, ALL[before]))
    accel.apply(pipe, strategy(model, ALL[name]))
    assert torch.equal(draw(pipe), fresh(model, name))
    accel.remove(pipe)
    assert traces(pipe) == []


@pytest.mark.parametrize("name", ["fora", "toca"])
def test_chunked_feed_forwards_are_refused(name: str) -> None:
    """Before a strategy is applied, and from then on; others take them."""
    pipe = build("sd3")
    accel.apply(pipe, strategy("sd3", ALL[name]))
    mine = draw(pipe)
    pipe.transformer.enable_forward_chunking(1, 0)
    with pytest.raises(StrategyError, match=rf"methods\.{name}.*disable_forward_chunking"):
        draw(pipe)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), draw(build("sd3")))
    with pytest.raises(StrategyError, match=rf"methods\.{name}.*disable_forward_chunking"):
        accel.apply(pipe, strategy("sd3", ALL[name]))
    accel.apply(pipe, strategy("sd3", ALL["cat"]))
    assert torch.equal(draw(pipe), fresh("sd3", "cat"))
    attention = strategy("sd3", {"fora": {"attn": [True, False, False, True, False, False]}})
    accel.apply(pipe, attention)
    chunked = draw(pipe)
    pipe.transformer.disable_forward_chunking()
    assert torch.equal(draw(pipe), chunked)
    accel.apply(pipe, strategy("sd3", ALL[name]))
    assert torch.equal(draw(pipe), mine)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(StrategyError, match="cat"):
        strategy("sd3", {"cat": {"alpha": 0.5}, "atedm": {"alpha": 0.5}})
    with pytest.raises(StrategyError, match="alpha"):
        strategy("sd3", {"cat": {"alpha": 0.0}})
    with pytest.raises(StrategyError, match="start is 6"):
        strategy("sd3", {"cat": {"alpha": 0.5, "start": 6}})
    pipe = build("sd3")
    plain = draw(pipe)
    with pytest.raises(StrategyError, match="family 'mmdit'"):
        accel.apply(pipe, strategy("dit", {"cat": {"alpha": 0.5}}))
    pipe.transformer.fuse_qkv_projections()
    with pytest.raises(StrategyError, match="unfuse_qkv_projections"):
        accel.apply(pipe, strategy("sd3", {"cat": {"alpha": 0.5}}))
    pipe.transformer.unfuse_qkv_projections()
    assert traces(pipe) == []
    assert torch.equal(draw(pipe), plain)
