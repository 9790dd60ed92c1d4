"""Rotary positions of queries that belong to fewer tokens than the keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accel.clock import Clock
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward
from accel.sites import Rotary, TokenAttention
from accel.token_selection import TokenSelection

Tables = tuple[Tensor, Tensor]
# By form, the name of the argument with the positions, and its place among the others.
ARGUMENTS: dict[Rotary, tuple[str, int]] = {
    "joint": ("image_rotary_emb", 3),
    "apart": ("image_rotary_emb", 3),
    "whole": ("rotary_emb", 3),
}


@dataclass(frozen=True)
class Positions:
    """Tables of cosines and sines `[tokens, d]`, each value twice.

    Attributes:
        image: table whose last rows are of the image's tokens.
        text: table whose first rows are of the text's tokens.
    """

    image: Tables
    text: Tables

    @classmethod
    def read(cls, form: Rotary, given: Any) -> Positions:
        """Tables from the argument of an attention."""
        if form == "apart":
            image, text = (_of_complex(one) for one in given)
            return cls(image, text)
        tables = tuple(one.flatten(0, 2) if form == "whole" else one for one in given)
        return cls((tables[0], tables[1]), (tables[0], tables[1]))

    def of(self, whose: str, count: int, chosen: TokenSelection | None, rows: int) -> Tables:
        """Tables `[rows or 1, count, d]` of some tokens.

        Args:
            whose: "text"; "all", of the keys; or "some", of the queries of the tokens that run.
            count: number of tokens.
            chosen: image tokens that run.
            rows: rows of the batch.
        """
        if whose == "text":
            return self.text[0][None, :count], self.text[1][None, :count]
        if whose == "all" or chosen is None:
            cos, sin = (table[None, len(table) - count :] for table in self.image)
            return cos, sin
        first = len(self.image[0]) - chosen.total - (count - chosen.kept)
        own = (table[None, first:].expand(rows, -1, -1) for table in self.image)
        cos, sin = (chosen.take(table) for table in own)
        return cos, sin


def _of_complex(table: Tensor) -> Tables:
    return table.real.repeat_interleave(2, -1), table.imag.repeat_interleave(2, -1)


class RotaryQueries:
    """An attention in which queries and keys are rotated by their own tokens' positions.

    diffusers rotates both by the same tables. At a partial call the tables are withheld from it,
    and the norms of queries and keys, which come before the rotation, rotate instead.
    """

    def __init__(self, clock: Clock, attention: TokenAttention) -> None:
        self.clock, self.form = clock, attention.rotary
        self.module: Any = attention.module
        self._positions: Positions | None = None

    def attach(self) -> list[Undo]:
        """Wrap the attention and its norms."""
        undos = [replace_forward(self.module, self._hold_back)]
        for name, whose in (("norm_q", "some"), ("norm_k", "all")):
            undos.append(replace_forward(getattr(self.module, name), self._turn(whose)))
        for name in ("norm_added_q", "norm_added_k"):
            if getattr(self.module, name, None) is not None:
                undos.append(replace_forward(getattr(self.module, name), self._turn("text")))
        return undos

    def _hold_back(self, original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if self.clock.selection is None:
                return original(*args, **kwargs)
            given, args, kwargs = withheld(self.form, args, kwargs)
            self._positions = None if given is None else Positions.read(self.form, given)
            try:
                return original(*args, **kwargs)
            finally:
                self._positions = None

        return forward

    def _turn(self, whose: str) -> Callable[[Forward], Forward]:
        def make(original: Forward) -> Forward:
            def forward(heads: Tensor) -> Any:
                normed: Tensor = original(heads)
                if self._positions is None:
                    return normed
                if self.form == "whole":
                    split = normed.unflatten(-1, (self.module.heads, -1))
                    return self._turned(split, whose).flatten(-2)
                return self._turned(normed, whose)

            return forward

        return make

    def _turned(self, heads: Tensor, whose: str) -> Tensor:
        assert self._positions is not None
        chosen = self.clock.selection
        return apply_rotary(heads, *self._positions.of(whose, heads.shape[1], chosen, len(heads)))


def withheld(form: Rotary, args: Any, kwargs: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Positions among the arguments of an attention, and the arguments without them."""
    name, place = ARGUMENTS[form]
    if len(args) > place:
        return args[place], (*args[:place], None, *args[place + 1 :]), kwargs
    return kwargs.get(name), args, {**kwargs, name: None}


def apply_rotary(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Pairs of neighbouring channels rotated by their angles (Su et al., 2021, arXiv 2104.09864).

    Args:
        heads: `[rows, tokens, heads, d]`.
        cos, sin: `[rows or 1, tokens, d]`, each value twice, in float32.
    """
    wide = heads.float()
    first, second = wide.unflatten(-1, (-1, 2)).unbind(-1)
    across = torch.stack([-second, first], dim=-1).flatten(-2)
    return (wide * cos[:, :, None] + across * sin[:, :, None]).to(heads.dtype)
