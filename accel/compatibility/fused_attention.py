"""Whether an attention projects queries, keys and values in one product."""

from __future__ import annotations

from typing import Any

from diffusers.models.attention_processor import Attention


def is_fused(attention: Any) -> bool:
    """Whether a call of `attention` leaves `to_q`, `to_k` and `to_v` out.

    Of `Attention` the processor decides: unfusing puts another one in, and leaves the flag set.
    Newer attentions go by the flag.
    """
    if not getattr(attention, "fused_projections", False):
        return False
    return not isinstance(attention, Attention) or "Fused" in type(attention.processor).__name__
