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
from accel.token_selection import at_least_single
from accel.tokens.rotary import Tables, turned
from strategies import StrategyError


class AttentionRecorder:
    """Queries and keys of one attention, as they were last projected.

    Attributes:
        projected: outputs of `to_q` and `to_k` for the tokens of the last pass `[rows, tokens, c]`.
    """

    def __init__(self, attention: TokenAttention) -> None:
        self.name, self.module = attention.name, cast(Any, attention.module)
        self.projected: dict[str, Tensor] = {}
        self._tables: Tables | None = None

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
        undos = [replace_forward(self.module, self._positions)]
        for name in ("to_q", "to_k"):
            undos.append(replace_forward(getattr(self.module, name), self._projection(name)))
        return undos

    def clear(self) -> None:
        """Drop the recorded tensors."""
        self.projected.clear()
        self._tables = None

    def heads(self, name: str, projected: Tensor, total: int) -> Tensor:
        """Queries or keys of the last `total` tokens, ready to compare: `[rows, total, heads,
        d]`.
        """
        norm = self.module.norm_q if name == "to_q" else self.module.norm_k
        found: Tensor = projected[:, -total:].unflatten(-1, (self.module.heads, -1))
        found = found if norm is None else norm(found)
        if self._tables is None:
            return found
        cos, sin = (table[None, -total:] for table in self._tables)
        return turned(found, cos, sin)

    def received(self, total: int) -> Tensor:
        """Attention that each of the last `total` tokens gets from these, `[rows, total]`."""
        query, key = (self.heads(name, self.projected[name], total) for name in ("to_q", "to_k"))
        return torch.stack([one.mean(1) for one in maps(query, key)]).mean(0)

    def _positions(self, original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            self._tables = kwargs.get("image_rotary_emb")
            return original(*args, **kwargs)

        return forward

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
        one, other = at_least_single(query[:, :, head]), at_least_single(key[:, :, head])
        scores = one @ other.transpose(1, 2)
        yield (scores * query.shape[-1] ** -0.5).softmax(-1)
