"""Partial forward of an attention that holds a feed-forward, as in FLUX.2's single blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor

from accel.clock import Clock
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward
from accel.tokens.kept_rows import KeyValueRows
from accel.tokens.rotary import Positions, apply_rotary


class PackedAttention:
    """One map gives queries, keys, values and the input of a feed-forward; another projects the
    results of both.

    No module gives values alone, so a partial call runs its parts one by one, for fewer queries
    than keys. Kept are keys and values, side by side.

    Args:
        keep: function that tells whether a later call needs keys and values of this one.
    """

    def __init__(
        self, clock: Clock, module: Any, rows: KeyValueRows, keep: Callable[[], bool]
    ) -> None:
        self.clock, self.module, self.rows, self.keep = clock, module, rows, keep
        self.width: int = module.inner_dim

    def attach(self) -> list[Undo]:
        """Wrap the attention and its first map."""
        return [
            replace_forward(self.module.to_qkv_mlp_proj, self._record),
            replace_forward(self.module, self._partial),
        ]

    def _record(self, original: Forward) -> Forward:
        def forward(hidden_states: Tensor) -> Any:
            made: Tensor = original(hidden_states)
            if self.clock.selection is None and self.keep():
                self.rows.after = made[..., self.width : 3 * self.width].clone()
            return made

        return forward

    def _partial(self, original: Forward) -> Forward:
        def forward(
            hidden_states: Tensor, *args: Any, image_rotary_emb: Any = None, **kwargs: Any
        ) -> Any:
            if self.clock.selection is None:
                return original(hidden_states, *args, image_rotary_emb=image_rotary_emb, **kwargs)
            return self._run(hidden_states, image_rotary_emb)

        return forward

    def _run(self, hidden: Tensor, tables: Any) -> Tensor:
        """Output for the tokens that run, `[rows, text + kept, c]`."""
        module, chosen, before = self.module, self.clock.selection, self.rows.before
        assert chosen is not None
        assert before is not None
        packed: Tensor = module.to_qkv_mlp_proj(hidden)
        rest = packed.shape[-1] - 3 * self.width
        query, fresh, feed = packed.split([self.width, 2 * self.width, rest], dim=-1)
        both = chosen.put(before, fresh)
        if self.keep():
            self.rows.after = both
        parts = (query, *both.chunk(2, dim=-1))
        query, key, value = (one.unflatten(-1, (module.heads, -1)) for one in parts)
        query, key = module.norm_q(query), module.norm_k(key)
        if tables is not None:
            found, rows = Positions.read("joint", tables), len(query)
            query = apply_rotary(query, *found.of("some", query.shape[1], chosen, rows))
            key = apply_rotary(key, *found.of("all", key.shape[1], chosen, rows))
        backend = getattr(module.processor, "_attention_backend", None)
        mixed = dispatch_attention_fn(query, key, value, backend=backend).flatten(2)
        joined = torch.cat([mixed.to(query.dtype), module.mlp_act_fn(feed)], dim=-1)
        output: Tensor = module.to_out(joined)
        return output
