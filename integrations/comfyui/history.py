"""Values of earlier calls, and their extrapolation to the present one."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class History:
    """Tensors that the last few computed calls gave, one tuple for each call.

    Args:
        size: number of calls that are kept.
    """

    def __init__(self, size: int = 1) -> None:
        self._size = size
        self._rows: list[tuple[int, tuple[torch.Tensor | None, ...]]] = []

    def add(self, call: int, values: Sequence[torch.Tensor | None]) -> None:
        """Keep what a call gave."""
        self._rows = [*self._rows, (call, tuple(values))][-self._size :]

    def fits(self, shapes: Sequence[torch.Size | None]) -> bool:
        """Whether the values are there, in these shapes."""
        if not self._rows:
            return False
        return [None if v is None else v.shape for v in self._rows[-1][1]] == list(shapes)

    def at(self, call: int, order: int) -> tuple[torch.Tensor | None, ...]:
        """Values at a call of the polynomial through the last `order + 1` calls.

        If there are fewer calls, it goes through those that there are.
        """
        rows = self._rows[-(order + 1) :]
        newest = rows[-1][1]
        columns = range(len(newest))
        return tuple(_extrapolated([(c, v[i]) for c, v in rows], call) for i in columns)


def _extrapolated(points: list[tuple[int, torch.Tensor | None]], call: int) -> torch.Tensor | None:
    newest = points[-1][1]
    if newest is None:
        return None
    value = newest
    for at, tensor in points[:-1]:
        if tensor is None or tensor.shape != newest.shape:
            continue
        weight = 1.0
        for other, _ in points:
            if other != at:
                weight *= (call - other) / (at - other)
        value = value + weight * (tensor - newest)
    return value
