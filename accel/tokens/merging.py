"""Token matching and the reduction of a token grid, shared by the token methods.

Bipartite soft matching of Token Merging (Bolya et al., ICLR 2023), with one destination per cell
of the token grid (Bolya & Hoffman, CVPRW 2023, section 4): every other token is a source, and the
sources most similar to a destination are averaged into it. Nothing here waits for the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accel.token_selection import flat_indices, rows_at


def cell_origins(height: int, width: int, size: int, device: torch.device) -> Tensor:
    """Indices of the top-left tokens of the complete `size x size` cells, row-major: `[cells]`."""
    rows = torch.arange(height // size, device=device) * (size * width)
    columns = torch.arange(width // size, device=device) * size
    return (rows[:, None] + columns).flatten()


def outside_cells(height: int, width: int, size: int, device: torch.device) -> Tensor:
    """Indices of the tokens outside the complete cells of a grid: `[tokens]`, ascending."""
    rows, columns = height // size * size, width // size * size
    right = torch.arange(rows, device=device)[:, None] * width + torch.arange(
        columns, width, device=device
    )
    below = torch.arange(rows * width, height * width, device=device)
    return torch.cat([right.flatten(), below])


def in_cell(local: Tensor, size: int, width: int) -> Tensor:
    """Offset of a cell's `local`-th token, counted row by row, from its top-left one."""
    return local // size * width + local % size


def split_grid(height: int, width: int, stride: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token indices of sources and destinations, row-major.

    Destinations are the top-left tokens of the complete `stride x stride` cells, so the choice is
    deterministic. Tokens outside the complete cells can only be sources.

    Returns:
        int64 `[sources]` and `[destinations]`, ascending.
    """
    origin = cell_origins(height, width, stride, device)
    others = in_cell(torch.arange(1, stride**2, device=device), stride, width)
    inside = (origin[:, None] + others).flatten()
    source = torch.cat([inside, outside_cells(height, width, stride, device)])
    return source.sort().values, origin


@dataclass(frozen=True)
class Reduction:
    """Choice of the tokens of each image that stay, and of the replacement of the others.

    Attributes:
        kept: tokens that stay, `[n, m]`, in the order of the reduced sequence.
        back: position in the reduced sequence that each token copies, `[n, tokens]`.
        merged: tokens that are averaged into others, `[n, r]`, or None.
        into: position in the reduced sequence that each of them is averaged into, `[n, r]`.
        destinations: number of positions at the end of that sequence that `into` is limited to.
    """

    kept: Tensor
    back: Tensor
    merged: Tensor | None = None
    into: Tensor | None = None
    destinations: int = 0

    def reduce(self, tokens: Tensor) -> Tensor:
        """Reduce `[n, tokens, c]` to `[n, m, c]`."""
        reduced = rows_at(tokens, self.kept)
        if self.merged is None or self.into is None:
            return reduced
        merged = rows_at(tokens, self.merged)
        if tokens.is_cuda:
            return averaged(reduced, merged, self.into, self.destinations)
        return averaged_in_order(reduced, merged, self.into)

    def restore(self, reduced: Tensor) -> Tensor:
        """Restore `[n, m, c]` to `[n, tokens, c]`."""
        return rows_at(reduced, self.back)


def averaged(reduced: Tensor, merged: Tensor, into: Tensor, destinations: int) -> Tensor:
    """The mean as a product of matrices: a scatter on a GPU adds in another order each time."""
    first = reduced.shape[1] - destinations
    places = torch.arange(first, reduced.shape[1], device=into.device)
    member = into[:, None] == places[:, None]
    count = member.sum(-1, keepdim=True) + 1
    left, own = reduced[:, :first], reduced[:, first:]
    mean = own / count + (member / count).to(merged.dtype) @ merged  # No sum that overflows.
    return torch.cat([left, mean.to(reduced.dtype)], dim=1)


def averaged_in_order(reduced: Tensor, merged: Tensor, into: Tensor) -> Tensor:
    """The mean by sums over whole rows, into `reduced`; bit for bit that of `scatter_reduce_`."""
    images, count, width = reduced.shape
    places = flat_indices(into, count)
    sums = reduced.view(-1, width).index_add_(0, places, merged.reshape(-1, width))
    # float32, because bfloat16 cannot count beyond 256.
    members = torch.ones(images * count, device=into.device)
    members.index_add_(0, places, torch.ones(len(places), device=into.device))
    return sums.div_(members[:, None]).view(images, count, width)


def similarity(metric: Tensor, source: Tensor, destination: Tensor) -> Tensor:
    """Cosines `[n, s, d]` between tokens of `[n, tokens, c]`, chosen by index `[s]` or `[n, s]`."""
    length = metric.norm(dim=-1, keepdim=True)
    unit = metric / length.clamp_min(torch.finfo(length.dtype).tiny)
    return rows_at(unit, source) @ rows_at(unit, destination).transpose(-1, -2)


def rank(cosine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The best destination of every source, and the sources from best to worst.

    Args:
        cosine: `[n, s, d]`.

    Returns:
        The best cosine, its destination and the order, each `[n, s]`; ties keep their order.
    """
    best, target = cosine.max(dim=-1)
    return best, target, best.argsort(dim=-1, descending=True, stable=True)


def reduction(
    source: Tensor, destination: Tensor, target: Tensor, order: Tensor, count: int, merge: bool
) -> Reduction:
    """Remove the first `count` sources of `order`.

    Args:
        source, destination: token indices, `[n, s]` and `[n, d]`.
        target, order: results of `rank`.
        count: number of sources to remove, at most all.
        merge: whether to average them into their destinations; else they are only left out.
    """
    images, stay = len(target), source.shape[1] - count
    gone, left = order[:, :count], order[:, count:]
    kept = torch.cat([source.gather(1, left), destination], dim=1)
    merged, into = source.gather(1, gone), target.gather(1, gone) + stay
    places = torch.arange(kept.shape[1], device=kept.device).expand(images, -1)
    back = kept.new_empty(images, source.shape[1] + destination.shape[1])
    back = back.scatter_(1, kept, places).scatter_(1, merged, into)
    if not merge:
        return Reduction(kept, back)
    return Reduction(kept, back, merged, into, destination.shape[1])


def match(metric: Tensor, source: Tensor, destination: Tensor, count: int) -> Reduction:
    """Merge the `count` sources that are most similar to some destination.

    Args:
        metric: `[n, tokens, c]`, compared by cosine.
        source, destination: results of `split_grid`.
        count: number of sources to merge, at most all; ties go to the smaller index.
    """
    _, target, order = rank(similarity(metric, source, destination))
    images = len(metric)
    return reduction(
        source.expand(images, -1), destination.expand(images, -1), target, order, count, merge=True
    )
