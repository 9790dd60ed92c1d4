"""The laws of every method (design: "The laws of every method"), for each method on each family."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module, remove_hook_from_module
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import accel
from accel import schedulers
from strategies import Strategy, StrategyError, known
from tests.conftest import STEPS, build_pipe, draw, small_unet, strategy

NEUTRAL: dict[str, dict[str, Any]] = {
    "deepcache": {"deepcache": {"depth": "full"}},
    "tome": {"tome": {"ratio": 0.0}},
    "both": {"deepcache": {"depth": "full"}, "tome": {"ratio": 0.0}},
}
STRONG: dict[str, dict[str, Any]] = {
    "deepcache": {"deepcache": {"depth": ["full", 1, 0, "full", 3, 1]}},
    "tome": {"tome": {"ratio": [0.75, 0.5, 0.75, 0.0, 0.5, 0.75], "levels": 3}},
    "both": {
        "deepcache": {"depth": ["full", 2, 1, "full", 0, 5]},
        "tome": {"ratio": 0.5, "levels": 3},
    },
}
METHODS = list(STRONG)


def xtest_every_registered_method_is_tested() -> None:
    assert set(known()) | {"both"} == set(METHODS) == set(NEUTRAL)


def fresh(name: str, calls: int = STEPS, **settings: Any) -> torch.Tensor:
    """The result of a pipeline that never did anything else."""
    pipe = build_pipe()
    accel.apply(pipe, strategy(STRONG[name]).resample(calls=calls))
    return draw(pipe, calls, **settings)


@pytest.mark.parametrize("name", METHODS)
def test_law_1_neutral_knobs_change_nothing(pipe: Any, name: str) -> None:
    plain = draw(pipe)
    accel.apply(pipe, strategy(NEUTRAL[name]))
    assert torch.equal(draw(pipe), plain)


def traces(pipe: Any) -> list[str]:
    found = [n for n, m in pipe.unet.named_modules() if "forward" in m.__dict__]
    return found + [
        n for n, m in pipe.unet.named_modules() if m._forward_hooks or m._forward_pre_hooks
    ]


@pytest.mark.parametrize("name", METHODS)
def test_law_2_remove_restores_everything(pipe: Any, name: str) -> None:
    plain, attributes = draw(pipe), set(vars(pipe)) | set(vars(pipe.unet))
    accel.apply(pipe, strategy(STRONG[name]))
    assert not torch.equal(draw(pipe), plain)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)
    assert traces(pipe) == []
    assert set(vars(pipe)) | set(vars(pipe.unet)) == attributes


@pytest.mark.parametrize("name", METHODS)
def test_law_2_an_exception_restores_everything(pipe: Any, name: str) -> None:
    plain = draw(pipe)

    def fail(*_: Any) -> None:
        raise RuntimeError("in the middle")

    with (
        pytest.raises(RuntimeError, match="in the middle"),
        accel.accelerated(pipe, strategy(STRONG[name])),
    ):
        draw(pipe, callback_on_step_end=fail)
    assert traces(pipe) == []
    assert torch.equal(draw(pipe), plain)


@pytest.mark.parametrize("name", METHODS)
def test_law_3_the_same_seed_gives_the_same_image(pipe: Any, name: str) -> None:
    accel.apply(pipe, strategy(STRONG[name]))
    first = draw(pipe)
    assert torch.equal(draw(pipe), first)
    assert not torch.equal(draw(pipe, seed=1), first)
    assert torch.equal(fresh(name), first)


def test_law_3_a_fresh_process_gives_the_same_image() -> None:
    code = (
        "import torch; from tests.test_laws import fresh; x = fresh('both');"
        "print(repr(x.double().sum().item()), repr(x.abs().double().sum().item()))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    mine = fresh("both")
    assert [repr(mine.double().sum().item()), repr(mine.abs().double().sum().item())] == printed


OTHER_RUNS: dict[str, dict[str, Any]] = {
    "another batch": {"prompt": ["a small blue ring"] * 3, "generator": None},
    "another size": {"height": 24, "width": 40},
    "no guidance": {"guidance_scale": 1.0},
    "another prompt": {"prompt": "a small blue ring"},
    "failing": {},
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("other", OTHER_RUNS)
def test_law_4_no_generation_sees_another(pipe: Any, name: str, other: str) -> None:
    accel.apply(pipe, strategy(STRONG[name]))

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


@pytest.mark.parametrize("name", METHODS)
def test_law_4_other_step_counts_and_schedulers(pipe: Any, name: str) -> None:
    one = strategy(STRONG[name])
    accel.apply(pipe, one.resample(calls=9))
    draw(pipe, 9)
    calls = schedulers.count_calls(pipe.scheduler, "PNDMScheduler", 5)
    accel.apply(
        pipe, one.resample(calls=calls, steps=5, scheduler="PNDMScheduler"), set_scheduler=True
    )
    draw(pipe, 5)
    accel.apply(pipe, one)
    assert torch.equal(draw(pipe), fresh(name))


ACTIONS = st.sampled_from(["apply", "replace", "draw", "fail", "batch", "size", "remove"])


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ACTIONS, max_size=6), st.sampled_from(METHODS))
def test_law_4_random_histories(actions: list[str], name: str) -> None:
    pipe, applied = build_pipe(), False

    def fail(*_: Any) -> None:
        raise RuntimeError("in the middle")

    for action in actions:
        steps = STEPS if applied else 3
        if action == "apply":
            accel.apply(pipe, strategy(STRONG[name]))
            applied = True
        elif action == "replace":
            accel.apply(pipe, strategy(STRONG["both"]))
            applied = True
        elif action == "remove":
            accel.remove(pipe)
            applied = False
        elif action == "fail":
            with pytest.raises(RuntimeError):
                draw(pipe, steps, callback_on_step_end=fail)
        elif action == "size":
            draw(pipe, steps, height=16, width=24)
        else:
            draw(pipe, steps, prompt=["a"] * (2 if action == "batch" else 1))
    accel.apply(pipe, strategy(STRONG[name]))
    assert torch.equal(draw(pipe), fresh(name))


def test_law_5_deepcache_skips_the_deep_blocks(pipe: Any) -> None:
    accel.apply(pipe, strategy({"deepcache": {"depth": ["full", 1, 0, 2, 4, 12]}}))
    with accel.measuring(pipe, macs=True):
        draw(pipe)
    records = accel.stats(pipe)
    assert [record.depth for record in records] == ["full", 1, 0, 2, 4, 12]
    assert [record.ran for record in records[1:5]] == [
        ["up_blocks.3[-1:]"],
        [],
        ["down_blocks.0[:1]", "up_blocks.3[-2:]"],
        ["down_blocks.0", "up_blocks.2[-1:]", "up_blocks.3"],
    ]
    blocks = [f"down_blocks.{i}" for i in range(4)]
    after = [f"up_blocks.{i}" for i in range(4)]
    assert records[0].ran == [*blocks, "mid_block", *after]
    assert records[5].ran == [*blocks, *after]
    full, one, zero, two, four, twelve = (record.macs or 0 for record in records)
    assert zero == 0
    assert 0 < one < two < four < twelve < full
    assert one < full / 5


def test_law_5_the_leaf_modules_that_ran(pipe: Any) -> None:
    """The leaf modules that ran at depth 1 are those above the border, and no other."""
    accel.apply(pipe, strategy({"deepcache": {"depth": ["full", 1, 1, 1, 1, 1]}}))
    ran: dict[str, list[str]] = {"full": [], "1": []}
    for name, module in pipe.unet.named_modules():
        if not list(module.children()):
            module.register_forward_pre_hook(
                lambda *_, n=name: ran[str(accel.stats(pipe)[-1].depth)].append(n)
            )
    draw(pipe)
    shallow = set(ran["1"])
    assert any(n.startswith("up_blocks.3.resnets.2") for n in shallow)
    assert not any(n.startswith(("mid_block", "down_blocks")) for n in shallow)
    assert not any(n.startswith(("up_blocks.0", "up_blocks.1", "up_blocks.2")) for n in shallow)
    assert not any(
        n.startswith(("up_blocks.3.resnets.0", "up_blocks.3.resnets.1")) for n in shallow
    )
    assert any(n.startswith("mid_block") for n in ran["full"])


def test_law_5_tome_attends_over_fewer_tokens(pipe: Any) -> None:
    ratios = [0.0, 0.25, 0.5, 0.75, 0.0, 0.0]
    accel.apply(pipe, strategy({"tome": {"ratio": ratios}}))
    seen: list[int] = []
    site = pipe.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    site.to_q.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    with accel.measuring(pipe, macs=True):
        draw(pipe)
    assert seen == [256, 192, 128, 64, 256, 256]
    macs = [record.macs or 0 for record in accel.stats(pipe)]
    assert macs[3] < macs[2] < macs[1] < macs[0] == macs[4]
    kept = {tokens for record in accel.stats(pipe)[1:4] for tokens in record.tokens.values()}
    assert kept == {(256, 192), (256, 128), (256, 64)}
    assert len(accel.stats(pipe)[1].tokens) == 5


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_law_6_a_batch_is_its_images(pipe: Any, name: str, guidance: float) -> None:
    accel.apply(pipe, strategy(STRONG[name]))
    prompts = ["a large red circle", "a small blue ring above a small red cross", "a cyan square"]

    def seeds(*numbers: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(n) for n in numbers]

    together = draw(pipe, prompt=prompts, generator=seeds(0, 1, 2), guidance_scale=guidance)
    for index, prompt in enumerate(prompts):
        alone = draw(pipe, prompt=prompt, generator=seeds(index), guidance_scale=guidance)
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("size", [(24, 40), (40, 8), (56, 72)])
def test_law_7_non_square_and_odd_sizes(pipe: Any, name: str, size: tuple[int, int]) -> None:
    plain = draw(pipe, height=size[0], width=size[1])
    accel.apply(pipe, strategy(STRONG[name]))
    mine = draw(pipe, height=size[0], width=size[1])
    assert mine.shape == plain.shape
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_law_7_half_precision(name: str, dtype: torch.dtype) -> None:
    pipe = build_pipe().to(dtype=dtype)
    plain = draw(pipe)
    accel.apply(pipe, strategy(NEUTRAL[name]))
    assert torch.equal(draw(pipe), plain)
    accel.apply(pipe, strategy(STRONG[name]))
    mine = draw(pipe)
    assert mine.dtype == dtype
    assert torch.isfinite(mine).all()
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("hook_first", [True, False])
def test_law_7_offload_hooks(name: str, hook_first: bool) -> None:
    """accelerate's hooks, which CPU offload is made of, before and after a strategy."""
    pipe, expected = build_pipe(), fresh(name)
    plain = draw(pipe)
    modules = [pipe.unet, pipe.unet.up_blocks[3], pipe.unet.mid_block]
    if not hook_first:
        accel.apply(pipe, strategy(STRONG[name]))
    for module in modules:
        add_hook_to_module(module, AlignDevicesHook(execution_device="cpu"))
    if hook_first:
        accel.apply(pipe, strategy(STRONG[name]))
    assert torch.equal(draw(pipe), expected)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)
    for module in modules:
        remove_hook_from_module(module)
    assert torch.equal(draw(pipe), plain)


class Adapter(torch.nn.Module):
    """What LoRA does to a linear layer: it takes its place and adds a low-rank term."""

    def __init__(self, base: torch.nn.Linear) -> None:
        super().__init__()
        self.base = base
        torch.manual_seed(3)
        self.down = torch.nn.Linear(base.in_features, 2, bias=False)
        self.up = torch.nn.Linear(2, base.out_features, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.up(self.down(x))


@pytest.mark.parametrize("name", METHODS)
def test_law_7_layers_replaced_as_lora_does(name: str) -> None:
    def adapt(pipe: Any) -> None:
        for i in (1, 2, 3):
            for transformer in pipe.unet.up_blocks[i].attentions:
                attention = transformer.transformer_blocks[0].attn1
                attention.to_q = Adapter(attention.to_q)

    before, after = build_pipe(), build_pipe()
    adapt(before)
    plain = draw(before)
    accel.apply(before, strategy(STRONG[name]))
    accel.apply(after, strategy(STRONG[name]))
    adapt(after)
    mine = draw(after)
    assert torch.equal(draw(before), mine)
    assert not torch.equal(mine, fresh(name))
    accel.remove(after)
    assert torch.equal(draw(after), plain)


class TwoCalls:
    """Guidance as two passes of the denoiser at each call, as some pipelines do it."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe

    @torch.no_grad()
    def draw(self, calls: int = STEPS) -> torch.Tensor:
        pipe = self.pipe
        positive, negative = pipe.encode_prompt("a large red circle", "cpu", 1, True)
        pipe.scheduler.set_timesteps(calls)
        latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
        for t in pipe.scheduler.timesteps:
            first = pipe.unet(latents, t, encoder_hidden_states=negative).sample
            second = pipe.unet(latents, t, encoder_hidden_states=positive, return_dict=False)[0]
            guided = first + 7.5 * (second - first)
            latents = pipe.scheduler.step(guided, t, latents).prev_sample
        return latents


@pytest.mark.parametrize("name", METHODS)
def test_law_7_guidance_as_two_calls(pipe: Any, name: str) -> None:
    plain = draw(
        pipe, latents=torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    )
    accel.apply(pipe, strategy(STRONG[name]))
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    one = draw(pipe, latents=latents)
    two = TwoCalls(pipe).draw()
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(one, plain, rtol=1e-3, atol=1e-3)
    assert [(r.call, r.branch) for r in accel.stats(pipe)] == [
        (c, b) for c in range(6) for b in (0, 1)
    ]


@pytest.mark.parametrize("name", METHODS)
def test_law_7_compiled_blocks(name: str) -> None:
    pipe = build_pipe()
    accel.apply(pipe, strategy(STRONG[name]))
    plain = draw(pipe)
    for block in [*pipe.unet.down_blocks, *pipe.unet.up_blocks]:
        for module in getattr(block, "attentions", None) or []:
            module.compile(backend="eager")
    torch.testing.assert_close(draw(pipe), plain, rtol=1e-4, atol=1e-4)


def tensors() -> set[int]:
    gc.collect()
    return {id(o) for o in gc.get_objects() if isinstance(o, torch.Tensor) and o.numel() > 64}


@pytest.mark.parametrize("depth", [["full", 1, 0, 3, 1, 12], ["full", 1, 2, 3, 4, 5]])
def test_law_8_caches_are_freed(pipe: Any, depth: list[Any]) -> None:
    """No feature map that a generation made is alive when it is over."""
    draw(pipe)
    methods = {"deepcache": {"depth": depth}, "tome": {"ratio": 0.5}}
    accel.apply(pipe, strategy(methods))
    before = tensors()
    draw(pipe)
    assert tensors() - before == set()


def test_law_8_only_what_is_read_is_kept(pipe: Any) -> None:
    """During the generation there is one feature per depth that a later call reads."""
    accel.apply(pipe, strategy({"deepcache": {"depth": ["full", 1, 3, "full", 3, 3]}}))
    forward = pipe.unet.forward
    cells = [cell.cell_contents for cell in forward.__closure__]
    alive: list[int] = []

    def look(*_: Any) -> dict[str, Any]:
        alive.append(sum(len(cache.kept) for cache in find_caches(cells)))
        return {}

    draw(pipe, callback_on_step_end=look)
    assert alive == [2, 1, 0, 1, 1, 0]


def find_caches(roots: list[Any]) -> list[Any]:
    found, seen, stack = [], set(), list(roots)
    while stack:
        one = stack.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if type(one).__name__ == "_Cache":
            found.append(one)
        for cell in getattr(one, "__closure__", None) or ():
            stack.append(cell.cell_contents)
    return found


def test_an_accelerated_pipeline_can_be_forgotten() -> None:
    pipe = build_pipe()
    accel.apply(pipe, strategy(STRONG["both"]))
    draw(pipe)
    weight = weakref.ref(pipe.unet.conv_in.weight)
    del pipe
    gc.collect()
    assert weight() is None


def test_law_9_applying_twice_replaces(pipe: Any) -> None:
    accel.apply(pipe, strategy(STRONG["deepcache"]))
    accel.apply(pipe, strategy(STRONG["tome"]))
    assert torch.equal(draw(pipe), fresh("tome"))
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
    with pytest.raises(StrategyError, match="12 skip levels"):
        accel.apply(pipe, strategy({"deepcache": {"depth": 13}}))
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


def test_image_to_image_uses_the_tail(pipe: Any, make_pipe: Callable[[], Any]) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline

    other = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    accel.apply(other, strategy({"deepcache": {"depth": ["full", 1, 2, 3, 1, 0]}}))
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    depths = {}
    for strength in (0.5, 1.0, 0.5):
        other(
            "a",
            image,
            strength,
            STEPS,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        )
        depths[strength] = [(r.call, r.depth) for r in accel.stats(other)]
    assert depths[1.0] == list(enumerate(["full", 1, 2, 3, 1, 0]))
    assert depths[0.5] == [(3, "full"), (4, 1), (5, 0)]


def test_controlnet_runs_and_neutral_changes_nothing(pipe: Any) -> None:
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    torch.manual_seed(1)
    control = ControlNetModel.from_unet(pipe.unet, conditioning_embedding_out_channels=(8, 16))
    for block in [*control.controlnet_down_blocks, control.controlnet_mid_block]:
        torch.nn.init.normal_(block.weight, std=0.3)
    other = StableDiffusionControlNetPipeline(
        **pipe.components, controlnet=control, requires_safety_checker=False
    )
    other.set_progress_bar_config(disable=True)
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def run() -> torch.Tensor:
        return draw(other, image=image)

    plain = run()
    accel.apply(other, strategy(NEUTRAL["both"]))
    assert torch.equal(run(), plain)
    for depth in (1, 2, 4, 8, 12):
        accel.apply(other, strategy({"deepcache": {"depth": depth}}))
        mine = run()
        assert torch.isfinite(mine).all()
        assert not torch.equal(mine, plain)
    # At depth 12 only the mid block is reused: with ControlNet's part of it, the change is small.
    assert (mine - plain).norm() < 0.1 * plain.norm()
    accel.remove(other)
    assert torch.equal(run(), plain)


def test_sd_xl_topology_has_nine_levels() -> None:
    from accel.families.unet import sites

    unet = small_unet(
        block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )
    found = sites(unet)
    assert found is not None
    assert found.skip_levels == 9
    assert {site.level for site in found.attentions} == {0, 1}
