"""Predicate: whether an attention projects queries, keys and values in one product."""

from __future__ import annotations

from typing import Any

from diffusers.models.attention_processor import Attention


def is_fused(attention: Any) -> bool:
    """Whether a call of `attention` leaves `to_q`, `to_k` and `to_v` out.

    For `Attention` the processor decides: unfusing replaces it and leaves the flag set. For newer
    attentions the flag decides.
    """
    if not getattr(attention, "fused_projections", False):
        return False
    return not isinstance(attention, Attention) or "Fused" in type(attention.processor).__name__
