"""Masks of an attention whose queries belong to fewer tokens than its keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional

from accel.clock import Clock
from accel.patching.layers import Forward
from accel.token_selection import TokenSelection


def narrowed_masks(clock: Clock) -> Callable[[Forward], Forward]:
    """Wrapper of an attention that fits its masks to the tokens that run.

    A mask of queries and keys loses the rows of the queries that do not run. Qwen-Image gets a mask
    of the text alone and adds one value for each image token that runs, so the others are added
    here. All image tokens are seen by all.
    """

    def make(original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            chosen = clock.selection
            if chosen is None:
                return original(*args, **kwargs)
            mask, words = (kwargs.get(n) for n in ("attention_mask", "encoder_hidden_states_mask"))
            if mask is not None:
                kwargs["attention_mask"] = of_queries(mask, chosen)
            if words is not None:
                more = chosen.total - chosen.kept
                kwargs["encoder_hidden_states_mask"] = functional.pad(words, (0, more), value=True)
            return original(*args, **kwargs)

        return forward

    return make


def of_queries(mask: Tensor, chosen: TokenSelection) -> Tensor:
    """Mask `[rows, 1, queries, keys]` with the queries of all text and of the tokens that run.

    A mask that is the same for all queries stays as it is.
    """
    if mask.ndim < 4 or mask.shape[-2] == 1:
        return mask
    return chosen.take(mask[:, 0])[:, None]
