"""Token matching and merging shared by the token methods.

Bipartite soft matching of Token Merging (Bolya et al., ICLR 2023), with one destination per cell
of the token grid (Bolya & Hoffman, CVPRW 2023, section 4): every other token is a source, and the
sources most similar to a destination are averaged into it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def split_grid(height: int, width: int, stride: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token indices of sources and destinations, row-major.

    Destinations are the top-left tokens of the complete `stride x stride` cells, so the choice is
    deterministic; what a grid has beyond its complete cells can only be a source.

    Returns:
        int64 `[sources]` and `[destinations]`, ascending.
    """
    grid = torch.zeros(height, width, dtype=torch.bool, device=device)
    rows, columns = height // stride * stride, width // stride * stride
    grid[:rows:stride, :columns:stride] = True
    flat = grid.flatten()
    return (~flat).nonzero().flatten(), flat.nonzero().flatten()


@dataclass(frozen=True)
class Merge:
    """Which tokens of each image are averaged into which.

    Attributes:
        source, destination: `[s]` and `[d]`, as `split_grid` gave them.
        kept: `[n, s - r]`, the sources that stay, as indices into `source`.
        merged: `[n, r]`, the sources that go.
        target: `[n, r]`, where each of them goes, as indices into `destination`.
    """

    source: Tensor
    destination: Tensor
    kept: Tensor
    merged: Tensor
    target: Tensor

    def merge(self, tokens: Tensor) -> Tensor:
        """`[n, s + d, c]` to `[n, s - r + d, c]`: the sources that stay, then the destinations."""
        sources, destinations = tokens[:, self.source], tokens[:, self.destination]
        index = self.target.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
        destinations = destinations.scatter_reduce(
            1, index, _rows(sources, self.merged), "mean", include_self=True
        )
        return torch.cat([_rows(sources, self.kept), destinations], dim=1)

    def unmerge(self, tokens: Tensor) -> Tensor:
        """`[n, s - r + d, c]` back to `[n, s + d, c]`; merged tokens copy their destination."""
        stay = self.kept.shape[1]
        kept, destinations = tokens[:, :stay], tokens[:, stay:]
        sources = tokens.new_empty(len(tokens), len(self.source), tokens.shape[-1])
        _set_rows(sources, self.kept, kept)
        _set_rows(sources, self.merged, _rows(destinations, self.target))
        full = tokens.new_empty(
            len(tokens), len(self.source) + len(self.destination), tokens.shape[-1]
        )
        full[:, self.source] = sources
        full[:, self.destination] = destinations
        return full


def match(metric: Tensor, source: Tensor, destination: Tensor, count: int) -> Merge:
    """Match the `count` sources that are most similar to some destination.

    Args:
        metric: `[n, tokens, c]`, compared by cosine.
        source, destination: from `split_grid`.
        count: how many sources go, at most all; ties go to the smaller index.
    """
    unit = metric / metric.norm(dim=-1, keepdim=True)
    similarity = unit[:, source] @ unit[:, destination].transpose(-1, -2)
    best, target = similarity.max(dim=-1)
    order = best.argsort(dim=-1, descending=True, stable=True)
    merged = order[:, :count]
    return Merge(source, destination, order[:, count:], merged, target.gather(1, merged))


def _rows(tokens: Tensor, index: Tensor) -> Tensor:
    return tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def _set_rows(tokens: Tensor, index: Tensor, rows: Tensor) -> None:
    tokens.scatter_(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]), rows)
