"""Tiny pipelines of the family `transformer` on which methods that select tokens work."""

from __future__ import annotations

from typing import Any

import torch

from tests.support.pipelines.stack_pipelines import tiny_of

# By pipeline, the passes of its network at each call.
TOKENS = {
    "flux2": 1,
    "flux2-klein": 2,
    "qwen": 2,
    "chroma": 2,
    "wan": 2,
    "wan22": 2,
    "auraflow": 1,
}
SHARES = [1.0, 1.0, 0.4, 0.6, 1.0, 0.3]
RATIO = [1.0, 0.5, 0.3, 1.0, 0.0, 0.6]
METHODS: dict[str, dict[str, Any]] = {
    "cat": {"cat": {"alpha": SHARES, "clusters": 4}},
    "atedm": {"atedm": {"alpha": SHARES}},
    "toca": {"toca": {"ratio": RATIO}},
    "toca-attention": {"toca": {"ratio": RATIO, "score": "attention", "depth_slope": 0.3}},
}


def passes(name: str) -> int:
    """Passes of the network at each call."""
    return TOKENS[name]


def cast(name: str, dtype: torch.dtype, batch: int = 1) -> dict[str, Any]:
    """Embeddings of the prompts in a precision."""

    def one(value: Any) -> Any:
        if isinstance(value, list):
            return [one(inner) for inner in value]
        wide = isinstance(value, torch.Tensor) and value.dtype == torch.float32
        return value.to(dtype) if wide else value

    given = tiny_of(name).given(batch, 0)
    return {key: value if "mask" in key else one(value) for key, value in given.items()}
