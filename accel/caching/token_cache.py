"""Kept outputs of a feed-forward that is computed for some of its tokens, with their scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from accel.caching.guidance_end import average_guidance
from accel.caching.guidance_halves import select_active_rows
from accel.clock import Clock


@dataclass(frozen=True)
class TokenCache:
    """Cached state of the tokens of one feed-forward.

    Attributes:
        output: last output of each token `[rows, tokens, c]`.
        basis: basis of the scores: the inputs of these outputs `[rows, tokens, c]`, or the
            attention that each image token got `[rows, tokens]`.
        age: calls since each output was computed `[rows, tokens]`.
        attention: attention output that FLUX's single blocks project with it.
    """

    output: Tensor
    basis: Tensor
    age: Tensor
    attention: Tensor | None = None

    @property
    def fields(self) -> tuple[Any, ...]:
        attention = () if self.attention is None else (self.attention,)
        return (self.output, self.basis, self.age, *attention)


def average_token_caches(passes: dict[int, TokenCache], clock: Clock) -> dict[int, TokenCache]:
    """Cached states, by pass, averaged over guidance."""
    histories = {branch: [(0, one.fields)] for branch, one in passes.items()}
    return {
        branch: TokenCache(*h[-1][1]) for branch, h in average_guidance(histories, clock).items()
    }


def of_running(kept: TokenCache, clock: Clock) -> TokenCache | None:
    """Cached state of the rows that run, or None if it does not have them."""
    fields = select_active_rows(kept.fields, clock)
    return None if fields is None else TokenCache(*fields)
