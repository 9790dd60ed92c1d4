"""The laws of every method (design: "The laws of every method"), for each method on each family."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module, remove_hook_from_module

import accel
from accel.solvers import schedulers
from strategies import Strategy, StrategyError, registered_methods
from tests.support.pipelines.law_cases import law, laws, replacing
from tests.support.pipelines.method_cases import ALL, JOINT, NEUTRAL, STRONG, neutral
from tests.support.pipelines.two_calls import TwoCalls
from tests.support.pipelines.unet_pipelines import STEPS, build, draw, fresh, strategy


@pytest.fixture
def pipe() -> Any:
    return build("sd1")


def test_every_registered_method_is_tested() -> None:
    for_unets = {name for name, knobs in registered_methods().items() if "unet" in knobs.families}
    assert for_unets == set(NEUTRAL) == set(STRONG)
    assert {method for methods in JOINT.values() for method in methods} <= set(registered_methods())


@law(1)
@pytest.mark.parametrize("name", laws(2))
def test_law_1_neutral_knobs_change_nothing(pipe: Any, name: str) -> None:
    accel.apply(pipe, strategy(neutral(name)))
    assert torch.equal(draw(pipe), fresh())


def traces(pipe: Any) -> list[str]:
    found = [n for n, m in pipe.unet.named_modules() if "forward" in m.__dict__]
    return found + [
        n for n, m in pipe.unet.named_modules() if m._forward_hooks or m._forward_pre_hooks
    ]


@law(2)
@pytest.mark.parametrize("name", laws(3))
def test_law_2_remove_restores_everything(pipe: Any, name: str) -> None:
    plain, attributes = draw(pipe), set(vars(pipe)) | set(vars(pipe.unet))
    accel.apply(pipe, strategy(ALL[name]))
    assert not torch.equal(draw(pipe), plain)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)
    assert traces(pipe) == []
    assert set(vars(pipe)) | set(vars(pipe.unet)) == attributes


@law(2)
@pytest.mark.parametrize("name", laws(4))
def test_law_2_an_exception_restores_everything(pipe: Any, name: str) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("in the middle")

    with (
        pytest.raises(RuntimeError, match="in the middle"),
        accel.accelerated(pipe, strategy(ALL[name])),
    ):
        draw(pipe, callback_on_step_end=fail)
    assert traces(pipe) == []
    assert torch.equal(draw(pipe), fresh())


@law(3)
@pytest.mark.parametrize("name", laws(5))
def test_law_3_the_same_seed_gives_the_same_image(pipe: Any, name: str) -> None:
    accel.apply(pipe, strategy(ALL[name]))
    first = draw(pipe)
    assert torch.equal(draw(pipe), first)
    assert not torch.equal(draw(pipe, seed=1), first)
    assert torch.equal(fresh(name), first)


OTHER_RUNS: dict[str, dict[str, Any]] = {
    "another batch": {"prompt": ["a small blue ring"] * 3, "generator": None},
    "another size": {"height": 24, "width": 40},
    "no guidance": {"guidance_scale": 1.0},
    "another prompt": {"prompt": "a small blue ring"},
    "failing": {},
}


@law(4)
@pytest.mark.parametrize(("name", "other"), laws(6, [*OTHER_RUNS]))
def test_law_4_no_generation_sees_another(pipe: Any, name: str, other: str) -> None:
    accel.apply(pipe, strategy(ALL[name]))

    def fail(_: Any, step: int, *__: Any) -> dict[str, Any]:
        if step == 3:
            raise RuntimeError("in the middle")
        return {}

    if other == "failing":
        with pytest.raises(RuntimeError, match="in the middle"):
            draw(pipe, callback_on_step_end=fail)
    else:
        draw(pipe, **OTHER_RUNS[other])
    assert torch.equal(draw(pipe), fresh(name))


@law(4)
@pytest.mark.parametrize("name", laws(7))
def test_law_4_other_step_counts_and_schedulers(pipe: Any, name: str) -> None:
    one = strategy(ALL[name])
    accel.apply(pipe, one.resample(calls=9))
    draw(pipe, 9)
    # ParaDiGMS takes solvers of order 1 alone.
    solver = "EulerDiscreteScheduler" if "paradigms" in ALL[name] else "PNDMScheduler"
    calls = schedulers.count_calls(pipe.scheduler, solver, 5)
    accel.apply(pipe, one.resample(calls=calls, steps=5, scheduler=solver), set_scheduler=True)
    draw(pipe, 5)
    accel.apply(pipe, one)
    assert torch.equal(draw(pipe), fresh(name))


@law(6)
@pytest.mark.parametrize(("name", "guidance"), laws(0, [5.0, 1.0]))
def test_law_6_a_batch_is_its_images(pipe: Any, name: str, guidance: float) -> None:
    pipe.to(dtype=torch.float64)  # Or choices of tokens between near ties flip on rounding.
    accel.apply(pipe, strategy(ALL[name]))
    prompts = ["a large red circle", "a small blue ring above a small red cross", "a cyan square"]

    def seeds(*numbers: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(n) for n in numbers]

    together = draw(pipe, prompt=prompts, generator=seeds(0, 1, 2), guidance_scale=guidance)
    for index, prompt in enumerate(prompts):
        alone = draw(pipe, prompt=prompt, generator=seeds(index), guidance_scale=guidance)
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-6, atol=1e-6)


@law(7)
@pytest.mark.parametrize(("name", "size"), laws(1, [(24, 40), (40, 8), (56, 72)], share=2))
def test_law_7_non_square_and_odd_sizes(pipe: Any, name: str, size: tuple[int, int]) -> None:
    plain = fresh(height=size[0], width=size[1])
    accel.apply(pipe, strategy(ALL[name]))
    mine = draw(pipe, height=size[0], width=size[1])
    assert mine.shape == plain.shape
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)


@law(7)
@pytest.mark.parametrize(("name", "dtype"), laws(2, [torch.bfloat16, torch.float16], share=2))
def test_law_7_half_precision(name: str, dtype: torch.dtype) -> None:
    pipe, plain = build("sd1").to(dtype=dtype), fresh(dtype=dtype)
    accel.apply(pipe, strategy(neutral(name)))
    assert torch.equal(draw(pipe), plain)
    accel.apply(pipe, strategy(ALL[name]))
    mine = draw(pipe)
    assert mine.dtype == dtype
    assert torch.isfinite(mine).all()
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)


@law(7)
@pytest.mark.parametrize(("name", "hook_first"), laws(3, [True, False], share=2))
def test_law_7_offload_hooks(name: str, hook_first: bool) -> None:
    """accelerate's hooks, which CPU offload is made of, before and after a strategy."""
    pipe, expected, plain = build("sd1"), fresh(name), fresh()
    modules = [pipe.unet, pipe.unet.up_blocks[3], pipe.unet.mid_block]
    if not hook_first:
        accel.apply(pipe, strategy(ALL[name]))
    for module in modules:
        add_hook_to_module(module, AlignDevicesHook(execution_device="cpu"))
    if hook_first:
        accel.apply(pipe, strategy(ALL[name]))
    assert torch.equal(draw(pipe), expected)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)
    for module in modules:
        remove_hook_from_module(module)
    assert torch.equal(draw(pipe), plain)


@law(7)
@pytest.mark.parametrize(
    "name", [one for one in laws(4, share=2) if "paradigms" not in ALL[str(one.values[0])]]
)
def test_law_7_guidance_as_two_calls(pipe: Any, name: str) -> None:
    """In a loop of one's own, which ParaDiGMS refuses."""
    plain = draw(
        pipe, latents=torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    )
    accel.apply(pipe, strategy(ALL[name]))
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    one = draw(pipe, latents=latents)
    two = TwoCalls(pipe).draw()
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(one, plain, rtol=1e-3, atol=1e-3)
    assert [(r.call, r.branch) for r in accel.stats(pipe)] == [
        (c, b) for c in range(6) for b in (0, 1)
    ]


@law(7)
@pytest.mark.parametrize(
    ("model", "name"),
    [("sd1", "deepcache"), *(pytest.param("long", n, marks=pytest.mark.slow) for n in ALL)],
)
def test_law_7_compiled_blocks(model: str, name: str) -> None:
    pipe = build(model)
    accel.apply(pipe, strategy(ALL[name]))
    plain = draw(pipe)
    for block in [*pipe.unet.down_blocks, *pipe.unet.up_blocks]:
        for module in getattr(block, "attentions", None) or []:
            module.compile(backend="eager")
    torch.testing.assert_close(draw(pipe), plain, rtol=1e-4, atol=1e-4)


def test_an_accelerated_pipeline_can_be_forgotten() -> None:
    pipe = build("sd1")
    accel.apply(pipe, strategy(ALL["everything"]))
    draw(pipe)
    weight = weakref.ref(pipe.unet.conv_in.weight)
    del pipe
    gc.collect()
    assert weight() is None


@law(9)
@pytest.mark.parametrize(("before", "name"), replacing("unet", [*STRONG]))
def test_law_9_applying_twice_replaces(pipe: Any, before: str, name: str) -> None:
    accel.apply(pipe, strategy(STRONG[before]))
    accel.apply(pipe, strategy(STRONG[name]))
    assert torch.equal(draw(pipe), fresh(name))
    accel.remove(pipe)
    assert traces(pipe) == []


def test_law_9_unsupported_pipelines_are_refused() -> None:
    class Other:
        unet = torch.nn.Linear(1, 1)

    for function in (accel.remove, accel.stats, lambda p: accel.apply(p, strategy({}))):
        with pytest.raises(StrategyError, match="UNet2DConditionModel"):
            function(Other())


def test_a_strategy_that_does_not_fit_is_refused(pipe: Any) -> None:
    plain = draw(pipe)
    with pytest.raises(StrategyError, match=r"set_scheduler=True"):
        accel.apply(pipe, strategy({}, scheduler="PNDMScheduler"))
    with pytest.raises(StrategyError, match="8 skip levels"):
        accel.apply(pipe, strategy({"deepcache": {"depth": 9}}))
    with pytest.raises(StrategyError, match="does not have"):
        accel.apply(pipe, strategy({}, scheduler="NoScheduler"), set_scheduler=True)
    with pytest.raises(StrategyError, match="no strategy is applied"):
        accel.stats(pipe)
    accel.apply(pipe, strategy({}))
    with pytest.raises(StrategyError, match=r"makes 7 calls.*for 6.*resample\(calls=7\)"):
        draw(pipe, 7)
    with pytest.raises(StrategyError, match="not on the schedule"):
        pipe.unet(torch.zeros(1, 4, 16, 16), 123, encoder_hidden_states=torch.zeros(1, 20, 64))
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)


def test_the_scheduler_is_swapped_and_put_back(pipe: Any) -> None:
    plain, before = draw(pipe), pipe.scheduler
    for name in ("PNDMScheduler", "DPMSolverMultistepScheduler", "HeunDiscreteScheduler"):
        calls = schedulers.count_calls(pipe.scheduler, name, STEPS)
        one: Strategy = strategy({"deepcache": {"depth": 1}}, calls, STEPS, name)
        with accel.accelerated(pipe, one, set_scheduler=True):
            assert type(pipe.scheduler).__name__ == name
            draw(pipe)
            assert [record.call for record in accel.stats(pipe)] == list(range(calls))
            assert [record.depth for record in accel.stats(pipe)] == ["full"] + [1] * (calls - 1)
        assert pipe.scheduler is before
    assert torch.equal(draw(pipe), plain)
