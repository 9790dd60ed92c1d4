"""Rotary positions of queries that belong to fewer tokens than the keys."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from accel.clock import Clock
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward
from accel.token_selection import TokenSelection

Tables = tuple[Tensor, Tensor]


class Rotary:
    """One attention of FLUX, in which queries and keys are rotated by their own tokens' positions.

    diffusers rotates both by the same tables. At a partial call the tables are withheld from it,
    and the norms of queries and keys, which come before the rotation, rotate instead.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._tables: Tables | None = None

    def attach(self, attention: Any) -> list[Undo]:
        """Wrap the attention and its norms."""
        undos = [replace_forward(attention, self._hold_back)]
        for name, whose in (("norm_q", "some"), ("norm_k", "all")):
            undos.append(replace_forward(getattr(attention, name), self._turn(whose)))
        for name in ("norm_added_q", "norm_added_k"):
            if getattr(attention, name, None) is not None:
                undos.append(replace_forward(getattr(attention, name), self._turn("text")))
        return undos

    def _hold_back(self, original: Forward) -> Forward:
        def forward(*args: Any, image_rotary_emb: Tables | None = None, **kwargs: Any) -> Any:
            if self.clock.selection is None:
                return original(*args, image_rotary_emb=image_rotary_emb, **kwargs)
            self._tables = image_rotary_emb
            try:
                return original(*args, image_rotary_emb=None, **kwargs)
            finally:
                self._tables = None

        return forward

    def _turn(self, whose: str) -> Any:
        def make(original: Forward) -> Forward:
            def forward(heads: Tensor) -> Any:
                normed: Tensor = original(heads)
                chosen = self.clock.selection
                if self._tables is None or chosen is None:
                    return normed
                cos, sin = (self._rows(t, whose, heads, chosen) for t in self._tables)
                return turned(normed, cos, sin)

            return forward

        return make

    def _rows(self, table: Tensor, whose: str, heads: Tensor, chosen: TokenSelection) -> Tensor:
        """Rows of the table for the tokens of `heads` `[rows, tokens, heads, d]`."""
        count = heads.shape[1]
        if whose == "text":
            return table[None, :count]
        if whose == "all":
            return table[None, len(table) - count :]
        text = count - chosen.kept
        own = table[None, len(table) - chosen.total - text :]
        return chosen.take(own.expand(len(heads), -1, -1))


def turned(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Pairs of neighbouring channels rotated by their angles (Su et al., 2021, arXiv 2104.09864).

    Args:
        heads: `[rows, tokens, heads, d]`.
        cos, sin: `[rows or 1, tokens, d]`, each value twice, in float32.
    """
    wide = heads.float()
    first, second = wide.unflatten(-1, (-1, 2)).unbind(-1)
    across = torch.stack([-second, first], dim=-1).flatten(-2)
    return (wide * cos[:, :, None] + across * sin[:, :, None]).to(heads.dtype)
