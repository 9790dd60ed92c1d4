"""Choice of tokens by a fixed rule, for tests that compare partial calls with full ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from accel.registry import applied_strategy
from accel.tokens.partial_forward import PartialForward


class Scripted:
    """Makes a partial run take tokens by a fixed rule instead of its method's."""

    def __init__(self, pipe: Any) -> None:
        self.run = next(
            one
            for one in applied_strategy(pipe)._clock.listeners
            if isinstance(one, PartialForward)
        )
        self.chosen: dict[int, Tensor] = {}
        self.run.choose = self.choose  # type: ignore[method-assign]

    def choose(self, noise: Tensor, count: int) -> Tensor | None:
        call = self.run.clock.call
        if count == noise.shape[1] or not self.run.planned(call):
            return None
        random = torch.Generator().manual_seed(call)
        rows = [torch.randperm(noise.shape[1], generator=random)[:count] for _ in noise]
        self.chosen[call] = torch.stack(rows).sort(dim=1).values
        return self.chosen[call]
