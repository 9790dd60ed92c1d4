"""Pipelines that steer attention or guidance: each method draws right, or refuses in one line."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import pytest
import torch

import accel
from strategies import StrategyError
from tests.support.pipelines import method_cases, transformer_pipelines, unet_pipelines

DEEP = {"deepcache": {"depth": ["full", 1, 2, "full", 1, 2]}}
GATE = {"tgate": {"gate": 3, "warmup": 0}}
MERGE = {"tome": {"ratio": 0.5, "levels": 4}}


def like(kind: Any, pipe: Any, **extra: Any) -> Any:
    """A pipeline of another class with the same parts."""
    takes = inspect.signature(kind.__init__).parameters
    known = {k: v for k, v in pipe.components.items() if k in takes}
    if "requires_safety_checker" in takes:
        extra["requires_safety_checker"] = False
    made = kind(**(known | extra))
    made.set_progress_bar_config(disable=True)
    return made


PAG = {
    "sd1": ("StableDiffusionPAGPipeline", "mid"),
    "sdxl": ("StableDiffusionXLPAGPipeline", "mid"),
    "pixart": ("PixArtSigmaPAGPipeline", "blocks.1"),
    "sd3": ("StableDiffusion3PAGPipeline", "blocks.0"),
}


@pytest.mark.parametrize(("model", "guidance"), unet_pipelines.spread(PAG, [4.0, 0.0], every=3))
def test_perturbed_attention_guidance(model: str, guidance: float) -> None:
    """Each method is refused, or gives each image of a batch what it has alone.

    The batch has three parts, or two that are not guidance.
    """
    name, layers = PAG[model]
    on_unet = model in unet_pipelines.SETTINGS
    if on_unet:
        pipe = like(
            getattr(diffusers, name), unet_pipelines.build(model), pag_applied_layers=layers
        )
        methods, make = method_cases.STRONG, unet_pipelines.strategy
    else:
        parts = transformer_pipelines.build(model)
        pipe = like(getattr(diffusers, name), parts, pag_applied_layers=[layers])
        methods = {
            k: v
            for k, v in transformer_pipelines.STRONG.items()
            if k != "tgate" or model == "pixart"
        }

        def make(one: Any) -> Any:  # type: ignore[misc]
            return transformer_pipelines.strategy(model, one)

    pipe.to(dtype=torch.float64)

    def draw(*numbers: int) -> torch.Tensor:
        given: dict[str, Any] = {"pag_scale": 2.0, "guidance_scale": guidance}
        if on_unet:
            seeds = [torch.Generator().manual_seed(n) for n in numbers]
            prompts = [transformer_pipelines.PROMPTS[n] for n in numbers]
            return unet_pipelines.draw(pipe, prompt=prompts, generator=seeds, **given)
        given.pop("guidance_scale")
        return transformer_pipelines.draw(pipe, batch=len(numbers), guidance=guidance, **given)

    plain = draw(0, 1)
    denoiser = pipe.unet if on_unet else pipe.transformer
    processors = denoiser.attn_processors
    refused = set()
    for method, knobs in methods.items():
        with accel.accelerated(
            pipe,
            make(
                method_cases.neutral(method) if on_unet else transformer_pipelines.neutral(method)
            ),
        ):
            assert torch.equal(draw(0, 1), plain)
        if method in ("guidance", "paradigms", "paradigms+tome"):
            with pytest.raises(StrategyError, match=f"does not know how {name} guides"):
                accel.apply(pipe, make(knobs))
            continue
        with accel.accelerated(pipe, make(knobs)):
            try:
                both = draw(0, 1)
            except StrategyError as error:
                if f"methods.{method} cannot be used with the attention pro" in str(error):
                    refused.add(method)
                denoiser.set_attn_processor(dict(processors))  # An interrupted call leaves its own.
                continue
            alone = draw(0)
        assert not torch.equal(both, plain)
        assert (both[:1] - alone).norm() < 1e-5 * alone.norm()
    if on_unet:
        assert {"tgate"} <= refused <= {"catome", "tgate"}
    else:
        assert {"cat", "atedm"} <= refused <= {"cat", "atedm", "tgate"}


def test_self_attention_guidance_reads_maps() -> None:
    pipe = like(diffusers.StableDiffusionSAGPipeline, unet_pipelines.build())
    given: dict[str, Any] = {"sag_scale": 0.75, "height": 64, "width": 64}
    plain = unet_pipelines.draw(pipe, **given)
    for methods in (DEEP, GATE, MERGE):
        with pytest.raises(StrategyError, match=r"StoreProcessor of mid_block.* keeps "):
            accel.apply(
                pipe, unet_pipelines.strategy(methods)
            )  # The pipeline leaves its processor behind.
            unet_pipelines.draw(pipe, **given)
    accel.apply(
        pipe, unet_pipelines.strategy({"tome": {"ratio": 0.5}})
    )  # Of the top level, not of the mid block.
    assert not torch.equal(unet_pipelines.draw(pipe, **given), plain)
    accel.remove(pipe)
    assert torch.equal(unet_pipelines.draw(pipe, **given), plain)


@pytest.mark.parametrize("model", ["sd1", "sdxl"])
def test_three_parts_of_instruct_pix2pix(model: str) -> None:
    """T-GATE cannot end guidance of three parts; without that it reuses what each part has."""
    parts = unet_pipelines.build(model)
    parts.unet = unet_pipelines.small_unet(model, in_channels=8)
    line = "StableDiffusionXL" if model == "sdxl" else "StableDiffusion"
    pipe = like(getattr(diffusers, f"{line}InstructPix2PixPipeline"), parts)
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))

    def draw(*numbers: int) -> torch.Tensor:
        return pipe(
            prompt=[transformer_pipelines.PROMPTS[n] for n in numbers],
            image=image[list(numbers)],
            generator=[torch.Generator().manual_seed(n) for n in numbers],
            num_inference_steps=6, output_type="latent", image_guidance_scale=1.5,
            **({"height": 32, "width": 32} if model == "sdxl" else {}),
        ).images  # fmt: skip

    plain = draw(0)
    accel.apply(pipe, unet_pipelines.strategy(GATE))
    with pytest.raises(StrategyError, match=r"runs 3 rows for 1 images.*drop_guidance: false"):
        draw(0)
    for name, methods in (
        method_cases.ALL | {"kept": {"tgate": GATE["tgate"] | {"drop_guidance": False}}}
    ).items():
        if "tgate" in methods and name != "kept":
            continue
        if {"guidance", "paradigms"} & {*methods}:
            with pytest.raises(StrategyError, match=r"does not know how .*InstructPix2Pix"):
                accel.apply(pipe, unet_pipelines.strategy(methods))
            continue
        accel.apply(pipe, unet_pipelines.strategy(methods))
        mine = draw(0)
        assert not torch.equal(mine, plain)
        if name == "kept":
            assert any(
                "attn2" in place for record in accel.stats(pipe)[3:] for place in record.reused
            )
            assert (draw(0, 1)[:1] - mine).norm() < 1e-3 * mine.norm()


@pytest.mark.parametrize(
    ("name", "adapters"),
    unet_pipelines.spread(["cat+fora", "atedm+fora", "toca", "fora", "cat"], [1, 2], every=2),
)
def test_flux_with_an_ip_adapter(name: str, adapters: int) -> None:
    """Its attentions give a third result, of the image's tokens too."""
    pipe, noise = transformer_pipelines.build("flux"), torch.Generator().manual_seed(1)
    config = pipe.transformer.config
    width, text = config.num_attention_heads * config.attention_head_dim, config.joint_attention_dim
    states = []
    for _ in range(adapters):
        weights = {}
        for block in range(config.num_layers):
            for part in ("k", "v"):
                weights[f"{block}.to_{part}_ip.weight"] = (
                    torch.randn(width, text, generator=noise) * 0.3
                )
                weights[f"{block}.to_{part}_ip.bias"] = torch.zeros(width)
        project = {
            "proj.weight": torch.randn(4 * text, 32, generator=noise),
            "proj.bias": torch.zeros(4 * text),
            "norm.weight": torch.ones(text),
            "norm.bias": torch.zeros(text),
        }
        states.append({"image_proj": project, "ip_adapter": weights})
    without = transformer_pipelines.draw(pipe)
    pipe.transformer._load_ip_adapter_weights(states)
    pipe.set_ip_adapter_scale(1.0)
    pipe.to(dtype=torch.float64)
    embeds = [torch.randn(1, 1, 32, generator=noise).double() for _ in range(adapters)]
    given: dict[str, Any] = {
        "ip_adapter_image_embeds": embeds,
        "negative_ip_adapter_image_embeds": embeds,
    }
    plain = transformer_pipelines.draw(pipe, **given)
    assert (plain - without).norm() > 1e-3 * without.norm()
    accel.apply(pipe, transformer_pipelines.strategy("flux", transformer_pipelines.neutral(name)))
    assert torch.equal(transformer_pipelines.draw(pipe, **given), plain)
    accel.apply(pipe, transformer_pipelines.strategy("flux", transformer_pipelines.ALL[name]))
    mine = transformer_pipelines.draw(pipe, **given)
    assert torch.isfinite(mine).all()
    assert not torch.equal(mine, plain)
    two: dict[str, Any] = {
        key: [one.repeat(2, 1, 1) for one in value] for key, value in given.items()
    }
    both = transformer_pipelines.draw(pipe, batch=2, **two)
    assert (both[:1] - mine).norm() < 1e-5 * mine.norm()
    accel.remove(pipe)
    assert torch.equal(transformer_pipelines.draw(pipe, **given), plain)


def test_rows_of_several_timesteps_are_refused() -> None:
    """A window of the schedule at once, as ParaDiGMS draws, is no call of it."""
    pipe = unet_pipelines.build()
    accel.apply(pipe, unet_pipelines.strategy(GATE))
    pipe.scheduler.set_timesteps(6)
    words, several = torch.zeros(2, 7, 64), pipe.scheduler.timesteps[:2]
    for given in (several, several.clone()):
        with pytest.raises(StrategyError, match="rows of several timesteps"):
            pipe.unet(torch.zeros(2, 4, 16, 16), given, words)
    pipe.unet(torch.zeros(2, 4, 16, 16), several[:1].expand(2), words)
