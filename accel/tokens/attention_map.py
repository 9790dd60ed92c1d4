"""Queries and keys of an attention's image tokens, from which its map is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor

from accel.compatibility.fused_attention import is_fused
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward
from accel.sites import TokenAttention
from accel.token_selection import at_least_float32
from accel.tokens.rotary import Positions, apply_rotary, withheld
from strategies import StrategyError


class AttentionRecorder:
    """Queries and keys of one attention, as they were last projected.

    Attributes:
        projected: outputs of `to_q` and `to_k` for the tokens of the last pass `[rows, tokens, c]`.
    """

    def __init__(self, attention: TokenAttention) -> None:
        self.name, self.module = attention.name, cast(Any, attention.module)
        self.form, self.packed = attention.rotary, attention.packed
        self.projected: dict[str, Tensor] = {}
        self._positions: Positions | None = None
        self._running = False

    def attach(self) -> list[Undo]:
        """Watch the attention.

        Raises:
            StrategyError: its projections are fused, so that queries and keys are not projected
                separately.
        """
        if is_fused(self.module):
            raise StrategyError(
                f"{self.name} has its projections fused, but its attention map is made from "
                "queries and keys apart; call unfuse_qkv_projections() on the pipeline"
            )
        undos = [replace_forward(self.module, self._watch)]
        for name, norm in (("to_q", "norm_q"), ("to_k", "norm_k")):
            if self.packed:  # What is normed are queries and keys.
                undos.append(replace_forward(getattr(self.module, norm), self._normed(name)))
            else:
                undos.append(replace_forward(getattr(self.module, name), self._projection(name)))
        return undos

    def clear(self) -> None:
        """Drop the recorded tensors."""
        self.projected.clear()
        self._positions = None

    def heads(self, name: str, projected: Tensor, total: int) -> Tensor:
        """Queries or keys of the last `total` tokens, ready to compare: `[rows, total, heads,
        d]`.
        """
        norm = self.module.norm_q if name == "to_q" else self.module.norm_k
        found: Tensor = projected[:, -total:]
        if self.form == "whole":
            found = norm(found).unflatten(-1, (self.module.heads, -1))
        else:
            found = found.unflatten(-1, (self.module.heads, -1))
            found = found if norm is None else norm(found)
        if self._positions is None:
            return found
        return apply_rotary(found, *self._positions.of("all", total, None, len(found)))

    def received(self, total: int) -> Tensor:
        """Attention that each of the last `total` tokens gets from these, `[rows, total]`."""
        query, key = (self.heads(name, self.projected[name], total) for name in ("to_q", "to_k"))
        return torch.stack([one.mean(1) for one in maps(query, key)]).mean(0)

    def _watch(self, original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            given = withheld(self.form, args, kwargs)[0] if self.form else None
            self._positions = None if given is None else Positions.read(self.form, given)
            self._running = True
            try:
                return original(*args, **kwargs)
            finally:
                self._running = False

        return forward

    def _normed(self, name: str) -> Callable[[Forward], Forward]:
        def make(original: Forward) -> Forward:
            def forward(heads: Tensor) -> Any:
                if self._running:  # Not where a map is made of what was recorded.
                    self.projected[name] = heads.flatten(2).clone()
                return original(heads)

            return forward

        return make

    def _projection(self, name: str) -> Callable[[Forward], Forward]:
        def make(original: Forward) -> Forward:
            def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
                self.projected[name] = made = original(hidden_states, *args, **kwargs)
                return made

            return forward

        return make


def mean_map(query: Tensor, key: Tensor) -> Tensor:
    """The attention map averaged over heads, `[rows, queries, keys]`; one head's at a time."""
    heads = maps(query, key)
    total = next(heads)
    for one in heads:
        total += one
    return total / query.shape[2]


def maps(query: Tensor, key: Tensor) -> Iterator[Tensor]:
    """The attention map of each head in turn, `[rows, queries, keys]`, at least in float32.

    Args:
        query, key: `[rows, tokens, heads, d]`.
    """
    for head in range(query.shape[2]):
        one, other = at_least_float32(query[:, :, head]), at_least_float32(key[:, :, head])
        scores = one @ other.transpose(1, 2)
        yield (scores * query.shape[-1] ** -0.5).softmax(-1)
