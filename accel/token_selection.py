"""Selection of some of an image's tokens: taking their rows out of a tensor and putting them
back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenSelection:
    """Image tokens that run, the same number in every image.

    Tensors may have tokens of the text before those of the image, which are never left out. They
    may have more rows than there are images, for guidance: row `i` is of image `i % images`.

    Attributes:
        index: positions on the image's grid, `[images, kept]`; or a row for every row of tensors.
        total: number of tokens of the whole grid.
    """

    index: Tensor
    total: int

    @property
    def kept(self) -> int:
        """Number of image tokens that run."""
        return self.index.shape[1]

    def take(self, whole: Tensor) -> Tensor:
        """Rows of `[rows, text + total, c]` that run: `[rows, text + kept, c]`."""
        text = whole.shape[1] - self.total
        index = self._index(len(whole))
        chosen = rows_at(whole, index + text if text else index)
        return torch.cat([whole[:, :text], chosen], dim=1) if text else chosen

    def put(self, whole: Tensor, some: Tensor) -> Tensor:
        """`[rows, text + total, c]` with the rows of `[rows, text + kept, c]` in their places."""
        text = some.shape[1] - self.kept
        count, tokens, width = whole.shape
        places = flat_indices(self._index(count) + text, tokens)
        image = some[:, text:].reshape(-1, width)
        # Whole rows at once: a scatter would look every channel's place up.
        filled = whole.reshape(-1, width).index_copy(0, places, image).view(count, tokens, width)
        if text:
            filled[:, :text] = some[:, :text]
        return filled

    def _index(self, rows: int) -> Tensor:
        times = rows // len(self.index)
        return self.index if times == 1 else self.index.repeat(times, 1)


def at_least_float32(values: Tensor) -> Tensor:
    """Values in at least float32: choices of tokens are made in this precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def rows_at(tokens: Tensor, index: Tensor) -> Tensor:
    """Rows of `[n, tokens, c]` by index `[m]`, the same for all, or `[n, m]`."""
    if index.ndim == 1:
        return tokens.index_select(1, index)
    images, count, width = tokens.shape
    # Whole rows at once: `gather` would look every channel's place up.
    chosen = tokens.reshape(-1, width).index_select(0, flat_indices(index, count))
    return chosen.view(images, index.shape[1], width)


def flat_indices(index: Tensor, count: int) -> Tensor:
    """Indices into the rows of all images, `[n * m]`, from indices `[n, m]` into `count` of each
    image.
    """
    first = torch.arange(0, len(index) * count, count, device=index.device)
    return (index + first[:, None]).flatten()
