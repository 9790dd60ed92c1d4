"""Predicate: whether several processes share the tokens of a network."""

from __future__ import annotations

from typing import Any


def shares_tokens(denoiser: Any) -> bool:
    """Whether a process holds only a part of a network's tokens.

    That is so after diffusers' `enable_parallelism` with a `ContextParallelConfig`. Every process
    then makes the same calls, so that a schedule of whole blocks holds in all of them.
    """
    config = getattr(denoiser, "_parallel_config", None)
    return getattr(config, "context_parallel_config", None) is not None
