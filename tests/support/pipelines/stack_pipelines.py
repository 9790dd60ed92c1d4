"""Tiny pipelines of diffusers' newer transformers: real classes, random weights, no text encoders.

Each is drawn with through its own `__call__`, with embeddings of prompts in place of prompts.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch

from strategies import Strategy
from tests.support.copies import copied
from tests.support.pipelines.stack_arguments import (
    Given,
    embeds,
    kandinsky,
    pooled,
    two_encoders,
    with_image,
    z_embeds,
)
from tests.support.pipelines.stack_networks import (
    AURA,
    CHROMA,
    COGVIDEOX,
    COGVIEW4,
    FLUX2,
    HUNYUAN_DIT,
    HUNYUAN_VIDEO,
    KANDINSKY5,
    LTX,
    LUMINA2,
    QWEN,
    SANA,
    SHIFT,
    WAN,
    Z_IMAGE,
)

STEPS = 6
SIZE = {"height": 64, "width": 64}


@dataclass(frozen=True)
class Tiny:
    """How a pipeline is built and called.

    Attributes:
        pipeline, transformer, scheduler: classes of diffusers.
        network: arguments of the transformer.
        solver: arguments of the scheduler.
        given: arguments of a call, of a batch of images whose first has a seed.
        call: further ones.
        parts: further components.
    """

    pipeline: str
    transformer: str
    network: dict[str, Any]
    given: Given
    call: dict[str, Any] = field(default_factory=dict)
    scheduler: str = "FlowMatchEulerDiscreteScheduler"
    solver: dict[str, Any] = field(default_factory=dict)
    parts: Callable[[], dict[str, Any]] = dict


FLOW_DPM = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
VIDEO = {"num_frames": 5}


def second_wan() -> dict[str, Any]:
    """Wan 2.2 has another network for the calls of low noise."""
    return {"transformer_2": lively(diffusers.WanTransformer3DModel(**WAN)), "boundary_ratio": 0.6}


def flux2_vae() -> dict[str, Any]:
    """Klein reads the statistics of its autoencoder whatever is asked for."""
    vae = diffusers.AutoencoderKLFlux2(
        block_out_channels=(8, 8, 8, 8), latent_channels=4, norm_num_groups=4, layers_per_block=1
    )
    return {"vae": vae.eval()}


def wan_vae() -> dict[str, Any]:
    """Wan's image-to-video pipeline encodes its first frame."""
    vae = diffusers.AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    return {"vae": vae.eval()}


PIPES: dict[str, Tiny] = {
    "flux2": Tiny("Flux2Pipeline", "Flux2Transformer2DModel", FLUX2, embeds(24, guided=False)),
    "flux2-klein": Tiny(
        "Flux2KleinPipeline",
        "Flux2Transformer2DModel",
        FLUX2 | {"guidance_embeds": False},
        embeds(24),
        parts=flux2_vae,
    ),
    "qwen": Tiny(
        "QwenImagePipeline",
        "QwenImageTransformer2DModel",
        QWEN,
        embeds(24, mask="prompt_embeds_mask"),
        solver=SHIFT,
    ),
    "z-image": Tiny("ZImagePipeline", "ZImageTransformer2DModel", Z_IMAGE, z_embeds),
    "chroma": Tiny(
        "ChromaPipeline",
        "ChromaTransformer2DModel",
        CHROMA,
        embeds(24, mask="prompt_attention_mask"),
    ),
    "wan": Tiny("WanPipeline", "WanTransformer3DModel", WAN, embeds(24), VIDEO),
    "wan22": Tiny("WanPipeline", "WanTransformer3DModel", WAN, embeds(24), VIDEO, parts=second_wan),
    "sana": Tiny(
        "SanaPipeline",
        "SanaTransformer2DModel",
        SANA,
        embeds(24, mask="prompt_attention_mask"),
        {"use_resolution_binning": False, "negative_prompt": None},
        "DPMSolverMultistepScheduler",
        FLOW_DPM,
    ),
    "lumina2": Tiny(
        "Lumina2Pipeline",
        "Lumina2Transformer2DModel",
        LUMINA2,
        embeds(24, mask="prompt_attention_mask", kind=torch.long),
    ),
    "auraflow": Tiny(
        "AuraFlowPipeline",
        "AuraFlowTransformer2DModel",
        AURA,
        embeds(24, mask="prompt_attention_mask"),
    ),
    "hunyuan-dit": Tiny(
        "HunyuanDiTPipeline",
        "HunyuanDiT2DModel",
        HUNYUAN_DIT,
        two_encoders,
        {"use_resolution_binning": False},
        "DDPMScheduler",
        parts=lambda: {"requires_safety_checker": False},
    ),
    "cogview4": Tiny("CogView4Pipeline", "CogView4Transformer2DModel", COGVIEW4, embeds(24)),
    "ltx": Tiny(
        "LTXPipeline",
        "LTXVideoTransformer3DModel",
        LTX,
        embeds(24, mask="prompt_attention_mask"),
        {"num_frames": 9},
    ),
    "hunyuan-video": Tiny(
        "HunyuanVideoPipeline",
        "HunyuanVideoTransformer3DModel",
        HUNYUAN_VIDEO,
        pooled,
        VIDEO,
    ),
    "cogvideox": Tiny(
        "CogVideoXPipeline",
        "CogVideoXTransformer3DModel",
        COGVIDEOX,
        embeds(24),
        VIDEO,
        "CogVideoXDDIMScheduler",
    ),
    "flux2-reference": Tiny(
        "Flux2Pipeline",
        "Flux2Transformer2DModel",
        FLUX2,
        with_image(embeds(24, guided=False)),
        parts=flux2_vae,
    ),
    "wan-image": Tiny(
        "WanImageToVideoPipeline",
        "WanTransformer3DModel",
        WAN | {"in_channels": 12},
        with_image(embeds(24)),
        VIDEO,
        parts=wan_vae,
    ),
    "kandinsky5-image": Tiny(
        "Kandinsky5T2IPipeline", "Kandinsky5Transformer3DModel", KANDINSKY5, kandinsky
    ),
    "kandinsky5": Tiny(
        "Kandinsky5T2VPipeline", "Kandinsky5Transformer3DModel", KANDINSKY5, kandinsky, VIDEO
    ),
}
EXTRA: dict[str, Tiny] = {}  # Further ones, which other files put here.


def tiny_of(name: str) -> Tiny:
    """How a pipeline is built and called."""
    return EXTRA[name] if name in EXTRA else PIPES[name]


def build(name: str, seed: int = 0, **overrides: Any) -> Any:
    """A fresh pipeline; the same weights for the same seed."""
    return _made(name, seed, **overrides) if overrides else copied(_built(name, seed))


@functools.cache
def _built(name: str, seed: int) -> Any:
    """A pipeline that is only ever copied."""
    return _made(name, seed)


def _made(name: str, seed: int, **overrides: Any) -> Any:
    tiny = tiny_of(name)
    kind = getattr(diffusers, tiny.pipeline)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = lively(getattr(diffusers, tiny.transformer)(**(tiny.network | overrides)))
        parts = tiny.parts()
    takes = inspect.signature(kind.__init__).parameters
    absent = {n: None for n, one in takes.items() if n != "self" and one.default is one.empty}
    scheduler = getattr(diffusers, tiny.scheduler)(**tiny.solver)
    pipe = kind(**(absent | {"transformer": transformer, "scheduler": scheduler} | parts))
    pipe.set_progress_bar_config(disable=True)
    if hasattr(pipe, "resolutions"):  # Other sizes become one of these, from 640 pixels up.
        pipe.resolutions = [(width, height) for width in (64, 128) for height in (64, 128)]
    return pipe


@torch.no_grad()
def lively(network: Any) -> Any:
    """A network whose blocks all do something: fresh modulations are zero."""
    for weight in network.parameters():
        weight.add_(torch.randn_like(weight) * 0.1)
    return network.eval()


def draw(pipe: Any, name: str, seed: int = 0, batch: int = 1, **given: Any) -> torch.Tensor:
    """Latents of one generation.

    Args:
        seed: of the first image; each of the others has the next one.
        batch: images, each of another prompt.
        given: passed to the pipeline.
    """
    tiny = tiny_of(name)
    generators = [torch.Generator().manual_seed(seed + i) for i in range(batch)]
    arguments = {"num_inference_steps": STEPS, "output_type": "latent", **SIZE, **tiny.call}
    arguments |= {"generator": generators, "return_dict": False} | tiny.given(batch, seed) | given
    found: torch.Tensor = pipe(**arguments)[0]
    return found


def strategy(name: str, methods: dict[str, Any], calls: int = STEPS) -> Strategy:
    return Strategy.create(
        family="transformer",
        scheduler=tiny_of(name).scheduler,
        steps=STEPS,
        calls=calls,
        methods=methods,
    )
