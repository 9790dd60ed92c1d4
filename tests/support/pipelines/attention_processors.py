"""Attention processors of users' kinds, harmless and not."""

from __future__ import annotations

from typing import Any

import torch


class Kernel:
    """Attention as such, by another kernel."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def __call__(
        self, attn: Any, hidden_states: Any, encoder_hidden_states: Any = None, **_: Any
    ) -> Any:
        words = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key, value = (
            attn.head_to_batch_dim(self.pick(one(words))) for one in (attn.to_k, attn.to_v)
        )
        weights = (query @ key.transpose(1, 2) * attn.scale).softmax(-1)
        self.see(attn, weights)
        return attn.to_out[0](attn.batch_to_head_dim(weights @ value))

    def pick(self, rows: torch.Tensor) -> torch.Tensor:
        return rows

    def see(self, attn: Any, weights: torch.Tensor) -> None:
        pass


class FirstRow(Kernel):
    """StyleAligned's kind: every image attends to the first one."""

    def pick(self, rows: torch.Tensor) -> torch.Tensor:
        return rows[:1].expand(len(rows), -1, -1)


class Pairs(Kernel):
    """Mixes each row with that half a batch away, which turning the batch around does not show."""

    def pick(self, rows: torch.Tensor) -> torch.Tensor:
        return (rows + rows.roll(len(rows) // 2, 0)) / 2


class Keeps(Kernel):
    """Keeps its map for whoever asks."""

    def see(self, attn: Any, weights: torch.Tensor) -> None:
        self.map = weights


class Writes(Kernel):
    """Writes its map on the module, as Pix2Pix-Zero does."""

    def see(self, attn: Any, weights: torch.Tensor) -> None:
        attn.attn_probs = weights


class Holds(Kernel):
    """Holds a store of its maker's, as Attend-and-Excite and LEdits++ do."""

    def __init__(self) -> None:
        super().__init__()
        self.store: list[torch.Tensor] = []


class Halves(Kernel):
    """Projects the batch in two parts."""

    def __call__(self, attn: Any, hidden_states: Any, *given: Any, **more: Any) -> Any:
        parts = [super(Halves, self).__call__(attn, one) for one in hidden_states.chunk(2)]
        return torch.cat(parts)


class Fails(Kernel):
    """Needs something that only its pipeline hands over."""

    def pick(self, rows: torch.Tensor) -> torch.Tensor:
        raise KeyError("prompt")
