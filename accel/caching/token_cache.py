"""Kept outputs of a feed-forward that is computed for some of its tokens, with their scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from accel.caching.extrapolation import fold
from accel.caching.guidance_halves import running
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


def fold_kept(passes: dict[int, TokenCache], halves: bool) -> dict[int, TokenCache]:
    """Cached states, by pass, averaged over guidance."""
    histories = {branch: [(0, one.fields)] for branch, one in passes.items()}
    return {branch: TokenCache(*h[-1][1]) for branch, h in fold(histories, halves).items()}


def of_running(kept: TokenCache, clock: Clock) -> TokenCache | None:
    """Cached state of the rows that run, or None if it does not have them."""
    fields = running(kept.fields, clock)
    return None if fields is None else TokenCache(*fields)
