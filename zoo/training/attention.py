"""Attention of training steps on CPUs: in float32, and with fewer keys where there are many."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class Float32Attention(TorchFunctionMode):
    """Attention in float32: its bfloat16 backward takes half of a training step on CPUs."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is nn.functional.scaled_dot_product_attention and args[0].device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                return func(*(a.float() for a in args[:3]), *args[3:], **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class FewerKeys(TorchFunctionMode):
    """Self-attention over the whole grid sees one of `side` x `side` keys and values.

    All cells of one step leave out the same keys, and each step other ones. A softmax over some of
    the keys estimates the one over all of them. ToDo (arXiv 2402.13573) does this when it
    generates; here it is for training, where attention on 1,024 tokens with narrow heads takes
    most of a step.

    Args:
        side: side of the squares of which one key is used; 1 uses all.
        grid: height and width of the grid of tokens.
        phase: number of the key within each square, from 0 to `side` squared - 1.
    """

    def __init__(self, side: int, grid: tuple[int, int], phase: int) -> None:
        super().__init__()
        self._side, self._grid = side, grid
        self._row, self._column = divmod(phase, side)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is nn.functional.scaled_dot_product_attention and self._side > 1:
            query, keys, values = args[:3]
            if query.shape[-2] == keys.shape[-2] == self._grid[0] * self._grid[1]:
                args = (query, self._used(keys), self._used(values), *args[3:])
        return func(*args, **(kwargs or {}))

    def _used(self, tokens: Tensor) -> Tensor:
        cells: Tensor = tokens.unflatten(-2, self._grid)
        some: Tensor = cells[..., self._row :: self._side, self._column :: self._side, :]
        return some.flatten(-3, -2)
