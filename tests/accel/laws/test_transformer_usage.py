"""Law 7 on transformers: every size, precision, task and wrapper that a pipeline is used with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import diffusers
import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module, remove_hook_from_module
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from peft import LoraConfig, inject_adapter_in_model

import accel
from strategies import StrategyError
from tests.support.pipelines.law_cases import cases, law
from tests.support.pipelines.transformer_pipelines import (
    ALL,
    FREE_SIZE,
    JOINT_ATTENTION,
    MODELS,
    build,
    draw,
    fresh,
    last_block,
    narrows,
    neutral,
    strategy,
)

FEW_USES = {("dit", "fora")}  # Each is compiled for seconds.
COMPILED = [
    pytest.param(*one.values, marks=[] if one.values in FEW_USES else [pytest.mark.slow])
    for one in cases(1)
]
SIZES = [(24, 40), (40, 8), (56, 72)]


@law(7)
@pytest.mark.parametrize(("model", "name", "size"), cases(2, SIZES, models=FREE_SIZE, share=2))
def test_non_square_and_odd_sizes(model: str, name: str, size: tuple[int, int]) -> None:
    """Of 3 x 5, 5 x 1 and 7 x 9 patches of 4 x 4, and twice and four times as many."""
    pipe = build(model)
    plain = fresh(model, size=size)
    accel.apply(pipe, strategy(model, ALL[name]))
    mine = draw(pipe, size=size)
    assert mine.shape == plain.shape
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)
    _, scale, shape = pipe.transformer.config.patch_size, pipe.vae_scale_factor, size
    patch = 2 if model in JOINT_ATTENTION else 1
    tokens = shape[0] * shape[1] // (scale * patch) ** 2
    assert {r.tokens["image"][0] for r in accel.stats(pipe) if "image" in r.tokens} == (
        {tokens} if narrows(name) else set()
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("alpha", [0.001, 0.999])
def test_one_token_and_all_but_one(model: str, alpha: float) -> None:
    pipe = build(model)
    for method in ("cat", "atedm"):
        accel.apply(pipe, strategy(model, {method: {"alpha": alpha}}))
        assert torch.isfinite(draw(pipe)).all()
        kept = 1 if alpha < 0.5 else 63
        assert accel.stats(pipe)[-1].tokens == {"image": (64, kept)}


HALVES = [torch.bfloat16, torch.float16]


@law(7)
@pytest.mark.parametrize(("model", "name", "dtype"), cases(3, HALVES, share=2))
def test_half_precision(model: str, name: str, dtype: torch.dtype) -> None:
    pipe, plain = build(model).to(dtype=dtype), fresh(model, dtype=dtype)
    accel.apply(pipe, strategy(model, neutral(name)))
    assert torch.equal(draw(pipe), plain)
    accel.apply(pipe, strategy(model, ALL[name]))
    seen = set[Any]()
    last_block(pipe).register_forward_pre_hook(
        lambda _, args, kwargs: seen.update(
            v.dtype for v in [*args, *kwargs.values()] if isinstance(v, torch.Tensor)
        ),
        with_kwargs=True,
    )
    mine = draw(pipe)
    assert mine.dtype == plain.dtype
    assert torch.float32 not in seen
    assert torch.isfinite(mine).all()
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)


@contextlib.contextmanager
def two_calls(pipe: Any) -> Iterator[None]:
    """Let each half of guidance be a pass of its own."""
    forward = pipe.transformer.forward

    def halves(value: Any) -> tuple[Any, Any]:
        if isinstance(value, torch.Tensor):
            one, other = value.chunk(2)
            return one, other
        if isinstance(value, dict):
            pairs = {k: halves(v) for k, v in value.items()}
            return {k: v[0] for k, v in pairs.items()}, {k: v[1] for k, v in pairs.items()}
        return value, value

    def twice(*args: Any, **kwargs: Any) -> Any:
        given = [halves(value) for value in args]
        named = {key: halves(value) for key, value in kwargs.items()}
        made = [
            forward(*(v[i] for v in given), **{k: v[i] for k, v in named.items()})[0]
            for i in range(2)
        ]
        output = torch.cat(made)
        return Transformer2DModelOutput(output) if kwargs.get("return_dict", True) else (output,)

    pipe.transformer.forward = twice
    try:
        yield
    finally:
        pipe.transformer.forward = forward


@law(7)
@pytest.mark.parametrize(("model", "name", "batch"), cases(4, [1, 2], models=MODELS[:-1], share=2))
def test_guidance_as_two_calls(model: str, name: str, batch: int) -> None:
    pipe = build(model).to(dtype=torch.float64)
    plain = fresh(model, dtype=torch.float64, batch=batch)
    accel.apply(pipe, strategy(model, ALL[name]))
    one = draw(pipe, batch=batch)
    if {"guidance", "paradigms"} & {*ALL[name]}:  # Of the doubled batch that is handed on.
        with two_calls(pipe), pytest.raises(StrategyError, match="each half by itself"):
            draw(pipe, batch=batch)
        return
    with two_calls(pipe):
        two = draw(pipe, batch=batch)
        ran = [(record.call, record.branch) for record in accel.stats(pipe)]
    assert ran == [(call, branch) for call in range(6) for branch in (0, 1)]
    assert (one - two).norm() < 1e-5 * one.norm()
    assert (one - plain).norm() > 1e-3 * one.norm()


@law(7)
@pytest.mark.parametrize(("model", "name", "hook_first"), cases(5, [1, 0], share=2))
def test_offload_hooks(model: str, name: str, hook_first: int) -> None:
    """accelerate's hooks, which CPU offload is made of, before and after a strategy."""
    pipe, plain, expected = build(model), fresh(model), fresh(model, name)
    block = pipe.transformer.transformer_blocks[0]
    attention = getattr(block, "attn1", None) or block.attn
    modules = [pipe.transformer, block, attention, attention.to_k, last_block(pipe)]
    if not hook_first:
        accel.apply(pipe, strategy(model, ALL[name]))
    for module in modules:
        add_hook_to_module(module, AlignDevicesHook(execution_device="cpu"))
    if hook_first:
        accel.apply(pipe, strategy(model, ALL[name]))
    assert torch.equal(draw(pipe), expected)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), plain)
    for module in modules:
        remove_hook_from_module(module)
    assert torch.equal(draw(pipe), plain)


@law(7)
@pytest.mark.parametrize(("model", "name"), COMPILED)
def test_compiled_blocks(model: str, name: str) -> None:
    torch._dynamo.reset()
    # A block of each list, because each block is compiled for each kind of call.
    few = (model, name) == ("flux", "atedm+fora")
    pipe = build(model, **({"num_layers": 1, "num_single_layers": 1} if few else {}))
    accel.apply(pipe, strategy(model, ALL[name]))
    plain = draw(pipe)
    denoiser = pipe.transformer
    singles = getattr(denoiser, "single_transformer_blocks", ())
    for block in [*denoiser.transformer_blocks, *singles]:
        block.compile(backend="eager")
    torch.testing.assert_close(draw(pipe), plain, rtol=1e-4, atol=1e-4)


@law(7)
@pytest.mark.parametrize(("model", "name"), cases(6, share=2))
def test_lora(model: str, name: str) -> None:
    pipe, plain, without = build(model), fresh(model), fresh(model, name)
    torch.manual_seed(0)
    targets = ["to_q", "to_k", "to_v"]
    config = LoraConfig(r=2, init_lora_weights=False, target_modules=targets)
    inject_adapter_in_model(config, pipe.transformer)
    adapted = draw(pipe)
    assert not torch.equal(adapted, plain)
    accel.apply(pipe, strategy(model, neutral(name)))
    assert torch.equal(draw(pipe), adapted)
    accel.apply(pipe, strategy(model, ALL[name]))
    mine = draw(pipe)
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, without)
    accel.remove(pipe)
    assert torch.equal(draw(pipe), adapted)


IMAGE_TO_IMAGE = {
    "sd3": "StableDiffusion3Img2ImgPipeline",
    "sd35": "StableDiffusion3Img2ImgPipeline",
    "flux": "FluxImg2ImgPipeline",
}


@law(7)
@pytest.mark.parametrize(("model", "name"), cases(7, models=JOINT_ATTENTION))
def test_image_to_image_runs_the_tail_of_the_lists(model: str, name: str) -> None:
    text = build(model)
    pipe = getattr(diffusers, IMAGE_TO_IMAGE[model])(**text.components)
    pipe.set_progress_bar_config(disable=True)
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    size: dict[str, Any] = {"size": (32, 32)}  # Of the image.
    given: dict[str, Any] = {"image": image, "strength": 0.66, **size}
    plain = draw(pipe, **given)
    accel.apply(pipe, strategy(model, neutral(name)))
    assert torch.equal(draw(pipe, **given), plain)
    accel.apply(pipe, strategy(model, ALL[name]))
    mine = draw(pipe, **given)
    records = accel.stats(pipe)
    assert sorted({record.call for record in records}) == [2, 3, 4, 5]
    assert all(record.tokens == {} and record.reused == [] for record in records[:1])
    assert torch.isfinite(mine).all()
    draw(pipe, image=image, strength=1.0, **size)
    assert torch.equal(draw(pipe, **given), mine)
    narrow = [record.call for record in records if record.branch == 0 and "image" in record.tokens]
    asked = [alpha for method, knobs in ALL[name].items() for alpha in knobs.get("alpha", ())]
    # Call 2 has nothing to go by; CAT needs two predictions before its first choice.
    ready = 4 if "cat" in ALL[name] else 3
    runs = [record.call for record in records if record.depth != "skip"]
    assert narrow == [c for c, alpha in enumerate(asked) if c >= ready and alpha < 1 and c in runs]


@law(7)
@pytest.mark.parametrize(("model", "name"), cases(0, models=["sd3", "sd35"]))
def test_skip_layer_guidance(model: str, name: str) -> None:
    """A third pass of the denoiser, of one half, at some of the calls."""
    pipe = build(model)
    given: dict[str, Any] = {
        "skip_guidance_layers": [1],
        "skip_layer_guidance_start": 0.3,
        "skip_layer_guidance_stop": 0.7,
    }
    without = draw(pipe)
    plain = draw(pipe, **given)
    assert not torch.equal(plain, without)
    accel.apply(pipe, strategy(model, neutral(name)))
    assert torch.equal(draw(pipe, **given), plain)
    accel.apply(pipe, strategy(model, ALL[name]))
    if {"guidance", "paradigms"} & {*ALL[name]}:
        with pytest.raises(StrategyError, match="skip_guidance_layers"):
            draw(pipe, **given)
        return
    mine = draw(pipe, **given)
    assert torch.isfinite(mine).all()
    assert [r.call for r in accel.stats(pipe) if r.branch == 1] == [2, 3, 4]
    assert torch.equal(draw(pipe, **given), mine)


def test_reference_images_beside_the_image_are_refused() -> None:
    pipe = build("flux")
    accel.apply(pipe, strategy("flux", ALL["cat"]))
    forward = pipe.transformer.forward

    def more(**kwargs: Any) -> Any:
        ids = kwargs["img_ids"]
        kwargs["img_ids"] = torch.cat([ids, ids + torch.tensor([1, 0, 0])])
        kwargs["hidden_states"] = kwargs["hidden_states"].repeat(1, 2, 1)
        return forward(**kwargs)

    pipe.transformer.forward = more
    with pytest.raises(StrategyError, match="no reference images"):
        draw(pipe)
