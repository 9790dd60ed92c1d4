"""Further tiny pipelines of the family `transformer`, for what the usual ones do not have."""

from __future__ import annotations

from typing import Any

import torch

from tests.support.pipelines.stack_arguments import embeds
from tests.support.pipelines.stack_networks import HEADS
from tests.support.pipelines.stack_pipelines import EXTRA, VIDEO, Tiny

COSMOS: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 3,
    "mlp_ratio": 2,
    "text_embed_dim": 24,
    "adaln_lora_dim": 4,
    "max_size": (4, 32, 32),
}
LATTE: dict[str, Any] = HEADS | {
    "in_channels": 4,
    "out_channels": 8,
    "num_layers": 2,
    "sample_size": 8,
    "patch_size": 2,
    "caption_channels": 24,
    "cross_attention_dim": 32,
    "video_length": 3,
    "norm_type": "ada_norm_single",
    "norm_elementwise_affine": False,
    "num_embeds_ada_norm": 1000,
    "activation_fn": "gelu-approximate",
}


class Allowing(torch.nn.Module):
    """In place of the checker that Cosmos asks for, which is a package of its own."""

    device = torch.device("cpu")


EXTRA |= {
    "cosmos": Tiny(
        "CosmosTextToWorldPipeline",
        "CosmosTransformer3DModel",
        COSMOS,
        embeds(24),
        VIDEO,
        "EDMEulerScheduler",
        parts=lambda: {"safety_checker": Allowing()},
    ),
    "latte": Tiny(
        "LattePipeline",
        "LatteTransformer3DModel",
        LATTE,
        embeds(24),
        {"video_length": 3, "clean_caption": False, "negative_prompt": None},
        "DDIMScheduler",
    ),
}
NAMES = tuple(EXTRA)
