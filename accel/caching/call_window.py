"""Windows of calls that are computed in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Window:
    """Calls that are computed in one batch, for some images.

    Attributes:
        calls: the calls.
        images: numbers of the images.
        guesses: the state `[images, ...]` before each call; that of the first one is exact.
        moved: departure of the pipeline's latents from where the steps lead, by image.
        made: predictions `[calls, halves, images, ...]` of each pass of guidance so far.
    """

    calls: Sequence[int]
    images: Sequence[int]
    guesses: Sequence[Tensor]
    moved: Tensor
    made: list[Tensor]


def change(state: Tensor, guess: Tensor) -> Tensor:
    """Mean square of the change of each image's guess."""
    return (state - guess).square().flatten(1).mean(1)


def repeated(value: Any, rows: int, index: Sequence[int], times: int) -> Any:
    """Some rows of every tensor with one row per sample, repeated for each call of a window.

    Lists of tensors with one axis are left as they are: they are positions of tokens.

    Args:
        value: a tensor, or a container of tensors.
        rows: number of rows of the whole batch.
        index: rows to take.
        times: number of calls.
    """
    if isinstance(value, Tensor):
        if not value.ndim or len(value) != rows:
            return value
        taken = value if list(index) == list(range(rows)) else value[list(index)]
        return taken.repeat(times, *[1] * (value.ndim - 1))
    if isinstance(value, dict):
        return {key: repeated(item, rows, index, times) for key, item in value.items()}
    if isinstance(value, list | tuple):
        if all(isinstance(item, Tensor) and item.ndim < 2 for item in value):
            return value
        return type(value)(repeated(item, rows, index, times) for item in value)
    return value
