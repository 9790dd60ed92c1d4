"""Tiny pipelines of diffusers' newer transformers: real classes, random weights, no text encoders.

Each is drawn with through its own `__call__`, with embeddings of prompts in place of prompts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from strategies import Strategy

STEPS = 6
SIZE = {"height": 64, "width": 64}
Given = Callable[[int, int], dict[str, Any]]


def rows(batch: int, seed: int, *shape: int) -> torch.Tensor:
    """Random numbers for each image of a batch, those of image `i` from `seed + i`."""
    seeds = [torch.Generator().manual_seed(seed + i) for i in range(batch)]
    return torch.stack([torch.randn(shape, generator=one) for one in seeds])


def embeds(
    width: int,
    tokens: int = 5,
    guided: bool = True,
    mask: str = "",
    kind: torch.dtype = torch.float32,
) -> Given:
    """Arguments with embeddings of prompts `[batch, tokens, width]`.

    Args:
        guided: with those of negative prompts beside them.
        mask: name of the argument that has a mask of them, if there is one.
        kind: of its numbers.
    """

    def given(batch: int, seed: int) -> dict[str, Any]:
        found: dict[str, Any] = {"prompt_embeds": rows(batch, 100 + seed, tokens, width)}
        if guided:
            found["negative_prompt_embeds"] = rows(1, 99, tokens, width).repeat(batch, 1, 1)
        if mask:
            ones = torch.ones(batch, tokens, dtype=kind)
            found |= {mask: ones} | ({f"negative_{mask}": ones} if guided else {})
        return found

    return given


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


HEADS = {"num_attention_heads": 2, "attention_head_dim": 16}
SHIFT = {"use_dynamic_shifting": True}
FLUX2: dict[str, Any] = HEADS | {
    "in_channels": 16,
    "num_layers": 2,
    "num_single_layers": 2,
    "joint_attention_dim": 24,
    "timestep_guidance_channels": 16,
    "axes_dims_rope": (4, 4, 4, 4),
}
QWEN: dict[str, Any] = HEADS | {
    "in_channels": 16,
    "out_channels": 4,
    "num_layers": 3,
    "joint_attention_dim": 24,
    "axes_dims_rope": (4, 6, 6),
}
Z_IMAGE: dict[str, Any] = {
    "in_channels": 4,
    "dim": 32,
    "n_layers": 2,
    "n_refiner_layers": 1,
    "n_heads": 2,
    "n_kv_heads": 2,
    "cap_feat_dim": 24,
    "axes_dims": [4, 6, 6],
    "axes_lens": [64, 32, 32],
}
CHROMA: dict[str, Any] = HEADS | {
    "in_channels": 16,
    "num_layers": 2,
    "num_single_layers": 2,
    "joint_attention_dim": 24,
    "axes_dims_rope": (4, 6, 6),
    "approximator_num_channels": 16,
    "approximator_hidden_dim": 32,
    "approximator_layers": 1,
}
WAN: dict[str, Any] = HEADS | {
    "in_channels": 4,
    "out_channels": 4,
    "text_dim": 24,
    "freq_dim": 16,
    "ffn_dim": 48,
    "num_layers": 3,
}
SANA: dict[str, Any] = HEADS | {
    "in_channels": 4,
    "out_channels": 4,
    "num_layers": 3,
    "num_cross_attention_heads": 2,
    "cross_attention_head_dim": 16,
    "cross_attention_dim": 32,
    "caption_channels": 24,
}
LUMINA2: dict[str, Any] = {
    "in_channels": 4,
    "hidden_size": 32,
    "num_layers": 2,
    "num_refiner_layers": 1,
    "num_attention_heads": 2,
    "num_kv_heads": 1,
    "multiple_of": 16,
    "axes_dim_rope": (4, 6, 6),
    "axes_lens": (64, 32, 32),
    "cap_feat_dim": 24,
}
AURA: dict[str, Any] = HEADS | {
    "sample_size": 8,
    "num_mmdit_layers": 2,
    "num_single_dit_layers": 2,
    "joint_attention_dim": 24,
    "caption_projection_dim": 32,
    "pos_embed_max_size": 256,
}
HUNYUAN_DIT: dict[str, Any] = HEADS | {
    "in_channels": 4,
    "patch_size": 2,
    "sample_size": 8,
    "hidden_size": 32,
    "num_layers": 4,
    "cross_attention_dim": 24,
    "cross_attention_dim_t5": 24,
    "pooled_projection_dim": 24,
    "text_len": 5,
    "text_len_t5": 5,
    "use_style_cond_and_image_meta_size": False,
}
COGVIEW4: dict[str, Any] = HEADS | {
    "in_channels": 4,
    "out_channels": 4,
    "num_layers": 3,
    "text_embed_dim": 24,
    "time_embed_dim": 16,
    "condition_dim": 8,
    "pos_embed_max_size": 16,
    "sample_size": 8,
    "rope_axes_dim": (8, 8),
}
LTX: dict[str, Any] = HEADS | {
    "in_channels": 8,
    "out_channels": 8,
    "cross_attention_dim": 32,
    "num_layers": 3,
    "caption_channels": 24,
}
HUNYUAN_VIDEO: dict[str, Any] = HEADS | {
    "in_channels": 4,
    "out_channels": 4,
    "num_layers": 2,
    "num_single_layers": 2,
    "num_refiner_layers": 1,
    "text_embed_dim": 24,
    "pooled_projection_dim": 12,
    "rope_axes_dim": (4, 6, 6),
}
COGVIDEOX: dict[str, Any] = HEADS | {
    "in_channels": 4,
    "out_channels": 4,
    "time_embed_dim": 16,
    "text_embed_dim": 24,
    "num_layers": 3,
    "sample_width": 8,
    "sample_height": 8,
    "sample_frames": 5,
    "max_text_seq_length": 5,
}
KANDINSKY5: dict[str, Any] = {
    "in_visual_dim": 4,
    "out_visual_dim": 4,
    "in_text_dim": 24,
    "in_text_dim2": 12,
    "time_dim": 16,
    "model_dim": 32,
    "ff_dim": 48,
    "num_text_blocks": 1,
    "num_visual_blocks": 3,
    "axes_dims": (4, 6, 6),
}
FLOW_DPM = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
VIDEO = {"num_frames": 5}


def z_embeds(batch: int, seed: int) -> dict[str, Any]:
    """Z-Image takes lists."""
    return {
        "prompt_embeds": list(rows(batch, 100 + seed, 5, 24)),
        "negative_prompt_embeds": list(rows(1, 99, 7, 24)) * batch,
    }


def two_encoders(batch: int, seed: int) -> dict[str, Any]:
    """HunyuanDiT has embeddings of two encoders, with a mask of each."""
    found = embeds(24, mask="prompt_attention_mask")(batch, seed)
    return found | {f"{name}_2": value for name, value in found.items()}


def pooled(batch: int, seed: int) -> dict[str, Any]:
    """HunyuanVideo has one embedding of the whole prompt beside those of its tokens."""
    found = embeds(24, guided=False, mask="prompt_attention_mask")(batch, seed)
    return found | {"pooled_prompt_embeds": rows(batch, 300 + seed, 12)}


def kandinsky(batch: int, seed: int) -> dict[str, Any]:
    """Kandinsky 5 has embeddings of two encoders, and where each prompt's begin."""
    ends = torch.arange(batch + 1, dtype=torch.int32) * 5
    return {
        "prompt_embeds_qwen": rows(batch, 100 + seed, 5, 24),
        "prompt_embeds_clip": rows(batch, 300 + seed, 12),
        "negative_prompt_embeds_qwen": rows(1, 99, 5, 24).repeat(batch, 1, 1),
        "negative_prompt_embeds_clip": rows(1, 98, 12).repeat(batch, 1),
        "prompt_cu_seqlens": ends,
        "negative_prompt_cu_seqlens": ends,
    }


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


def picture(seed: int = 0) -> Image.Image:
    """A picture of noise in the size that is drawn."""
    noise = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def with_image(given: Given, name: str = "image") -> Given:
    """Arguments with one picture beside them."""
    return lambda batch, seed: given(batch, seed) | {name: picture()}


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


def build(name: str, seed: int = 0, **overrides: Any) -> Any:
    """A fresh pipeline; the same weights for the same seed."""
    tiny = PIPES[name]
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
    tiny = PIPES[name]
    generators = [torch.Generator().manual_seed(seed + i) for i in range(batch)]
    arguments = {"num_inference_steps": STEPS, "output_type": "latent", **SIZE, **tiny.call}
    arguments |= {"generator": generators, "return_dict": False} | tiny.given(batch, seed) | given
    found: torch.Tensor = pipe(**arguments)[0]
    return found


def strategy(name: str, methods: dict[str, Any], calls: int = STEPS) -> Strategy:
    return Strategy.create(
        family="transformer",
        scheduler=PIPES[name].scheduler,
        steps=STEPS,
        calls=calls,
        methods=methods,
    )
