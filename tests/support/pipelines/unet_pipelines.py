"""Tiny real pipelines with random weights: every model and task that the laws are checked on."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import diffusers
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

import accel
from strategies import Strategy
from tests.support.copies import copied
from tests.support.pipelines.method_cases import ALL
from zoo import tiny_sd

STEPS = 6
MODELS = ("sd1", "sd2", "sdxl")
TASKS = ("text2img", "img2img", "inpaint")
WIDTHS: dict[str, Any] = {"block_out_channels": (8, 16, 16, 16), "norm_num_groups": 4}
XL: dict[str, Any] = {
    "block_out_channels": (8, 16, 16),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 1, 2),
    "attention_head_dim": (1, 2, 2),
    "use_linear_projection": True,
    "layers_per_block": 1,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 64 + 6 * 8,
    "cross_attention_dim": 128,
}
REFINER: dict[str, Any] = XL | {
    "block_out_channels": (8, 16, 16, 16),
    "down_block_types": ("DownBlock2D", *("CrossAttnDownBlock2D",) * 2, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 2, "UpBlock2D"),
    "transformer_layers_per_block": (1, 1, 1, 1),
    "attention_head_dim": (1, 2, 2, 2),
    "projection_class_embeddings_input_dim": 64 + 5 * 8,
    "cross_attention_dim": 64,
}
# One layer in a block, for speed; "long" and "long-xl" have the two of the published models.
SETTINGS: dict[str, dict[str, Any]] = {
    "sd1": {"attention_head_dim": 2, "layers_per_block": 1},
    "long": {"attention_head_dim": 2},
    "two": {  # Two levels, for what takes long for each layer, such as compiling.
        "attention_head_dim": 2,
        "layers_per_block": 1,
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    },
    "portraits": {  # tiny-portraits: attention on every second level.
        "attention_head_dim": 4,
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D") * 2,
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D") * 2,
    },
    "sd2": {
        "attention_head_dim": (1, 2, 2, 2),
        "use_linear_projection": True,
        "layers_per_block": 1,
    },
    "sdxl": XL,
    "long-xl": XL | {"layers_per_block": 2},
    "refiner": REFINER,
}
CLASSES = {
    ("sd", "text2img"): "StableDiffusionPipeline",
    ("sd", "img2img"): "StableDiffusionImg2ImgPipeline",
    ("sd", "inpaint"): "StableDiffusionInpaintPipeline",
    ("sd", "upscale"): "StableDiffusionUpscalePipeline",
    ("sd", "controlnet"): "StableDiffusionControlNetPipeline",
    ("xl", "text2img"): "StableDiffusionXLPipeline",
    ("xl", "img2img"): "StableDiffusionXLImg2ImgPipeline",
    ("xl", "inpaint"): "StableDiffusionXLInpaintPipeline",
}


def small_unet(model: str = "sd1", **overrides: Any) -> UNet2DConditionModel:
    """The model's topology at the smallest width that group norm allows, with lively weights."""
    unet = tiny_sd.unet(16, **(WIDTHS | SETTINGS[model] | overrides))
    # Fresh weights predict almost nothing; larger ones make every change visible.
    with torch.no_grad():
        for weight in unet.parameters():
            if weight.ndim > 1:
                weight.mul_(1.5)
    return unet


def build(model: str = "sd1", task: str = "text2img") -> Any:
    """A fresh pipeline, always with the same weights."""
    pipe = copied(_built(model, task))
    torch.manual_seed(0)
    return pipe


@functools.cache
def _built(model: str, task: str) -> Any:
    """What is only ever copied, in a third of the time that building takes."""
    torch.manual_seed(0)
    parts = tiny_sd.build()
    extra: dict[str, Any] = {}
    if task == "inpaint" and model == "sd1":  # SD 1.5's inpainting network: mask and image beside.
        extra["in_channels"] = 9
    if task == "upscale":
        extra |= {"in_channels": 7, "num_class_embeds": 1000}
    unet = small_unet(model, **extra)
    components: dict[str, Any] = {
        "vae": parts.vae,
        "tokenizer": parts.tokenizer,
        "text_encoder": parts.text_encoder,
        "unet": unet,
        "scheduler": tiny_sd.scheduler(),
    }
    line = "xl" if model in ("sdxl", "long-xl", "refiner") else "sd"
    if line == "xl":
        components |= _second_encoder(parts)
        if model == "refiner":
            components |= {"text_encoder": None, "tokenizer": None}
            components["requires_aesthetics_score"] = True
        parts.text_encoder.config.projection_dim = 64
    elif task == "upscale":
        components["low_res_scheduler"] = DDPMScheduler()
        components["max_noise_level"] = 350
    else:
        components |= {"safety_checker": None, "feature_extractor": None}
        components["requires_safety_checker"] = False
    if task == "controlnet":
        components["controlnet"] = _controlnet(unet)
    pipe = getattr(diffusers, CLASSES[line, task])(**components)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _second_encoder(parts: tiny_sd.Parts) -> dict[str, Any]:
    config = CLIPTextConfig.from_dict(parts.text_encoder.config.to_dict())
    config.projection_dim = 64
    return {
        "tokenizer_2": parts.tokenizer,
        "text_encoder_2": CLIPTextModelWithProjection(config),
        "force_zeros_for_empty_prompt": False,
    }


def _controlnet(unet: UNet2DConditionModel) -> Any:
    control = diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16))
    for block in [*control.controlnet_down_blocks, control.controlnet_mid_block]:
        torch.nn.init.normal_(block.weight, std=0.3)
    return control


def draw(pipe: Any, steps: int = STEPS, seed: int = 0, **settings: Any) -> torch.Tensor:
    """Latents of one generation, whatever the pipeline's task; settings are passed to it."""
    generator = torch.Generator().manual_seed(seed)
    arguments: dict[str, Any] = {"prompt": "a large red circle", "generator": generator}
    kind = type(pipe).__name__
    size = (settings.get("height", 32), settings.get("width", 32))
    if kind.endswith(("Img2ImgPipeline", "InpaintPipeline", "UpscalePipeline", "NetPipeline")):
        few = torch.Generator().manual_seed(5)
        arguments["image"] = torch.rand(1, 3, *size, generator=few)
    if kind.endswith("UpscalePipeline"):
        arguments["image"] = arguments["image"][..., ::2, ::2]
    if kind.endswith("InpaintPipeline"):
        mask = torch.zeros(1, 1, *size)
        mask[..., : size[1] // 2] = 1
        arguments["mask_image"] = mask
    if kind.endswith(("Img2ImgPipeline", "InpaintPipeline")):
        arguments["strength"] = 1.0
    if kind.endswith("Img2ImgPipeline"):
        settings = {k: v for k, v in settings.items() if k not in ("height", "width")}
    arguments |= settings
    return pipe(num_inference_steps=steps, output_type="latent", **arguments).images


@functools.cache
def fresh(
    name: str = "", model: str = "sd1", dtype: torch.dtype = torch.float32, **settings: Any
) -> torch.Tensor:
    """Latents of a pipeline that never did anything else, computed once for all tests.

    Args:
        name: of a case of methods; by default there is no strategy.
        model: topology.
        dtype: of the pipeline.
        settings: see `draw`.
    """
    pipe = build(model).to(dtype=dtype)
    if name:
        accel.apply(pipe, strategy(ALL[name]))
    return draw(pipe, **settings)


def strategy(
    methods: dict[str, Any],
    calls: int = STEPS,
    steps: int | None = None,
    scheduler: str = "DDIMScheduler",
) -> Strategy:
    return Strategy.create(
        family="unet",
        scheduler=scheduler,
        steps=steps or calls,
        calls=calls,
        methods=methods,
    )


def once(*axes: Sequence[Any]) -> list[Any]:
    """All combinations; each value of each axis runs by default, the rest is slow."""
    longest = max(map(len, axes))
    runs = {tuple(turn % len(axis) for axis in axes) for turn in range(longest)}
    found = []
    for places in itertools.product(*map(range, map(len, axes))):
        values = (axis[place] for place, axis in zip(places, axes, strict=True))
        found.append(pytest.param(*values, marks=[] if places in runs else [pytest.mark.slow]))
    return found


def spread(*axes: Iterable[Any], every: int) -> list[Any]:
    """All combinations; one in `every` along diagonals runs by default, the others are slow."""
    found = []
    for places in itertools.product(*map(enumerate, axes)):
        marks = [] if sum(place for place, _ in places) % every == 0 else [pytest.mark.slow]
        found.append(pytest.param(*(value for _, value in places), marks=marks))
    return found
