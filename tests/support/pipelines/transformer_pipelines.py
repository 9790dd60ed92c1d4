"""Tiny transformer pipelines of every topology, how to draw with them, and the methods' cases."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import DiTPipeline

import accel
import zoo
from strategies import Strategy
from tests.support.copies import copied
from tests.support.pipelines.method_cases import GUIDED, PARALLEL
from tests.support.pipelines.unet_pipelines import STEPS
from zoo import untrained

MODELS = ("dit", "pixart", "sd3", "sd35", "flux")
FREE_SIZE = MODELS[1:]  # DiT draws squares of one size.
JOINT_ATTENTION = MODELS[2:]
PROMPTS = ["a large red circle", "a small blue ring above a small red cross", "a cyan square"]
SIZES = {"Flux": (32, 32), "PixArt": (16, 16)}  # For 64 tokens, where that is not the default.
Methods = dict[str, dict[str, Any]]

NEUTRAL: dict[str, Methods] = {
    "fora": {"fora": {"attn": True, "order": 2}},
    "cat": {"cat": {"alpha": 1.0}},
    "atedm": {"atedm": {"alpha": 1.0}},
    "toca": {"toca": {"ratio": 1.0}},
    "tgate": {"tgate": {"gate": None}},
    "guidance": {"guidance": {"mode": "full", "order": 1}},
    "paradigms": {"paradigms": {"window": 1}},
    "deltacache": {"deltacache": {"depth": "full", "tail": 1, "order": 2}},
}
STRONG: dict[str, Methods] = {
    "fora": {
        "fora": {
            "attn": [True, False, False, True, True, False],
            "cross": [True, True, False, False, False, False],
            "mlp": [True, False, True, True, False, False],
            "order": [0, 0, 1, 0, 1, 2],
        }
    },
    "cat": {"cat": {"alpha": [1.0, 1.0, 0.3, 0.5, 1.0, 0.25], "clusters": 5}},
    "atedm": {"atedm": {"alpha": [1.0, 1.0, 0.3, 0.5, 1.0, 0.25]}},
    "toca": {"toca": {"ratio": [1.0, 0.3, 0.0, 1.0, 0.5, 0.2], "depth_slope": 0.5}},
    "tgate": {"tgate": {"gate": 3, "self_interval": 2, "warmup": 0, "late_interval": 2}},
    "guidance": {"guidance": GUIDED},
    "paradigms": {"paradigms": PARALLEL},
    "deltacache": {
        "deltacache": {
            "depth": ["full", 1, "skip", "full", 0, 1],
            "tail": [0, 1, 0, 0, 0, 0],
            "order": [0, 0, 1, 0, 1, 2],
        }
    },
}
JOINT: dict[str, Methods] = {
    "cat+fora": {
        "cat": {"alpha": [1.0, 1.0, 0.5, 0.3, 0.3, 0.25], "clusters": 5},
        "fora": {
            "attn": [True, False, True, False, True, True],
            "cross": [True, True, False, True, False, True],
            "mlp": [True, False, True, True, False, True],
            "order": [0, 0, 0, 1, 1, 0],
        },
    },
    "atedm+fora": {
        "atedm": {"alpha": [1.0, 1.0, 1.0, 0.5, 0.3, 1.0]},
        "fora": {
            "attn": [True, True, False, True, False, False],
            "mlp": [True, False, False, True, False, True],
        },
    },
    "toca by attention": {
        "toca": {"ratio": [1.0, 0.25, 0.5, 0.3, 1.0, 0.2], "score": "attention"},
    },
    "guidance+fora": {
        "guidance": GUIDED,
        "fora": {
            "attn": [True, False, False, True, False, False],
            "cross": [True, True, False, False, False, False],
            "mlp": [True, True, True, False, False, True],
            "order": [0, 0, 1, 1, 1, 2],
        },
    },
    "guidance+cat": {
        "guidance": GUIDED,
        "cat": {"alpha": [1.0, 1.0, 0.3, 0.5, 0.5, 0.25], "clusters": 5},
    },
    "guidance+atedm": {
        "guidance": GUIDED,
        "atedm": {"alpha": [1.0, 1.0, 0.3, 0.5, 0.5, 0.25]},
    },
    "guidance+toca": {
        "guidance": GUIDED,
        "toca": {"ratio": [1.0, 0.3, 0.0, 0.4, 0.5, 0.2], "depth_slope": 0.5},
    },
    "guidance+tgate": {
        "guidance": {"mode": ["full", "off", "full", "off", "off", "full"]},
        "tgate": {"gate": 5, "self_interval": 3, "cross_interval": 2, "warmup": 0},
    },
    "tgate+cat": {
        "tgate": {"gate": 4, "self_interval": 2, "warmup": 0},
        "cat": {"alpha": [1.0, 1.0, 0.5, 0.3, 1.0, 0.5], "clusters": 5},
    },
    "tgate+atedm": {
        "tgate": {"gate": 3, "self_interval": 2, "warmup": 0, "late_interval": 2},
        "atedm": {"alpha": [1.0, 1.0, 0.5, 0.3, 0.3, 0.5]},
    },
    "deltacache+fora": {
        "deltacache": {"depth": ["full", 0, "full", 1, "full", "skip"], "order": 1},
        "fora": {
            "attn": [True, True, False, True, False, True],
            "cross": [True, False, True, False, False, True],
            "mlp": [True, True, True, False, False, True],
            "order": [0, 0, 0, 1, 1, 0],
        },
    },
    "deltacache+cat": {
        "deltacache": {"depth": ["full", "full", 1, "skip", "full", 0]},
        "cat": {"alpha": [1.0, 1.0, 0.5, 0.3, 0.3, 0.25], "clusters": 5},
    },
    "deltacache+atedm": {
        "deltacache": {"depth": ["full", "full", 1, "full", 0, "skip"], "tail": 1},
        "atedm": {"alpha": [1.0, 1.0, 0.5, 0.3, 0.3, 0.5]},
    },
    "deltacache+toca": {
        "deltacache": {"depth": ["full", 1, "full", 0, "full", "skip"]},
        "toca": {"ratio": [1.0, 0.3, 0.0, 0.4, 0.5, 1.0], "depth_slope": 0.5},
    },
    "guidance+deltacache": {
        "guidance": GUIDED,
        "deltacache": {
            "depth": ["full", 1, "full", 0, "skip", "full"],
            "order": [0, 0, 0, 1, 1, 0],
        },
    },
    "tgate+deltacache": {
        "tgate": {"gate": 3, "self_interval": 2, "warmup": 0, "late_interval": 2},
        "deltacache": {"depth": ["full", 1, "full", "skip", 0, 1], "order": 1},
    },
}
ALL = STRONG | JOINT


def neutral(name: str) -> Methods:
    """The methods of a case, with knobs that change nothing."""
    return {method: NEUTRAL[method][method] for method in ALL[name]}


def narrows(name: str) -> bool:
    """Whether a case runs some calls on a selection of the image's tokens."""
    return bool({"cat", "atedm"} & set(ALL[name]))


def build(model: str, **overrides: Any) -> Any:
    """A fresh pipeline, always with the same weights, of 64 tokens; DiT of a fixed size."""
    return _made(model, **overrides) if overrides else copied(_built(model))


@functools.cache
def _built(model: str) -> Any:
    """A pipeline that is only ever copied."""
    return _made(model)


def _made(model: str, **overrides: Any) -> Any:
    if model == "dit":
        overrides = {"sample_size": 16} | overrides
    return untrained.load_untrained(model, **overrides)


@functools.cache
def fresh(
    model: str, name: str = "", dtype: torch.dtype = torch.float32, **settings: Any
) -> torch.Tensor:
    """Latents of a pipeline that never did anything else, computed once for all tests.

    Args:
        model: topology.
        name: of a case of methods; by default there is no strategy.
        dtype: of the pipeline.
        settings: see `draw`.
    """
    pipe = build(model).to(dtype=dtype)
    if name:
        accel.apply(pipe, strategy(model, ALL[name]))
    return draw(pipe, **settings)


def scheduler_of(model: str) -> str:
    """The solver that a topology comes with."""
    flows = model in JOINT_ATTENTION
    return "FlowMatchEulerDiscreteScheduler" if flows else "DDIMScheduler"


def strategy(
    model: str,
    methods: Methods,
    calls: int = STEPS,
    steps: int | None = None,
    scheduler: str | None = None,
) -> Strategy:
    return Strategy.create(
        family="mmdit" if model in JOINT_ATTENTION else "dit",
        scheduler=scheduler or scheduler_of(model),
        steps=steps or calls,
        calls=calls,
        methods=methods,
    )


def draw(
    pipe: Any,
    steps: int = STEPS,
    seed: int = 0,
    batch: int = 1,
    guidance: float = 4.0,
    size: tuple[int, int] | None = None,
    **given: Any,
) -> torch.Tensor:
    """Latents of one generation.

    Args:
        seed: of the first image; each of the others has the next one.
        batch: images, each of another prompt or class.
        guidance: its scale, 1 for none; of FLUX that of two passes of the denoiser.
        size: height and width in pixels.
        given: passed to the pipeline.
    """
    common: dict[str, Any] = {
        "num_inference_steps": steps,
        "generator": [torch.Generator().manual_seed(seed + i) for i in range(batch)],
    }
    kind = type(pipe).__name__
    if size is None:
        size = next((at for name, at in SIZES.items() if kind.startswith(name)), None)
    if size is not None:
        common |= {"height": size[0], "width": size[1]}
    if isinstance(pipe, DiTPipeline):
        return _draw_class(pipe, common | {"guidance_scale": guidance} | given, seed, batch)
    common |= {"prompt": [PROMPTS[(seed + i) % 3] for i in range(batch)], "output_type": "latent"}
    if kind.startswith("Flux"):
        common |= {"true_cfg_scale": guidance, "negative_prompt": [""] * batch}
    else:
        common |= {"guidance_scale": guidance}
    if kind.startswith("PixArt"):
        common |= zoo.MODELS["tiny-pixart"]
    else:
        common |= {"max_sequence_length": 16}
    return pipe(**(common | given)).images


def _draw_class(pipe: Any, given: dict[str, Any], seed: int, batch: int) -> torch.Tensor:
    """With DiT, whose pipeline has no output before the autoencoder."""
    given.setdefault("class_labels", [7 + seed + i for i in range(batch)])
    latents: list[torch.Tensor] = []
    hook = pipe.vae.post_quant_conv.register_forward_pre_hook(
        lambda _, args: latents.append(args[0])
    )
    try:
        pipe(output_type="np", **given)
    finally:
        hook.remove()
    return latents[0]


def last_block(pipe: Any) -> torch.nn.Module:
    """The block that runs last."""
    denoiser = pipe.transformer
    blocks = getattr(denoiser, "single_transformer_blocks", None) or denoiser.transformer_blocks
    found: torch.nn.Module = blocks[-1]
    return found


class InTheMiddleError(Exception):
    """What `failing` raises."""


@contextmanager
def failing(pipe: Any, after: int) -> Iterator[None]:
    """Let the last block fail when it ran `after` times."""
    left = after

    def fail(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise InTheMiddleError

    hook = last_block(pipe).register_forward_pre_hook(fail)
    try:
        yield
    finally:
        hook.remove()
