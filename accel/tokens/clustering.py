"""Clusters of an image's tokens: CAT Pruning's positions, k-means and graph pooling (section 2.4).

Everything works on a batch of images at once, each separately, on their device and without waiting
for it. The same input gives the same clusters.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from accel.sites import Grid
from accel.token_selection import at_least_float32

ITERATIONS = 10


def positions(grid: Grid, width: int, like: Tensor) -> Tensor:
    """The positional encoding of equation 3, `[tokens, width]`.

    The first half of the channels is the row's number divided by their count, the second the
    column's. Of videos a third each is the frame's, the row's and the column's.
    """
    place = torch.arange(math.prod(grid), device=like.device)
    share = width // len(grid)
    channels, inner = [], math.prod(grid)
    for axis, size in enumerate(grid):
        inner //= size
        last = axis == len(grid) - 1
        along = (place // inner % size / size).to(like.dtype)
        channels += [along] * (width - share * axis if last else share)
    return torch.stack(channels, dim=-1)


def kmeans(points: Tensor, grid: Grid, clusters: int) -> Tensor:
    """Lloyd's algorithm with Euclidean distance: the cluster of each token, `[images, tokens]`.

    It begins with tokens evenly distributed over the grid, and makes a fixed number of rounds. A
    cluster that loses all its tokens keeps its centre.

    Args:
        points: `[images, tokens, d]`.
        grid: rows and columns of tokens.
        clusters: number of clusters, at most one per token.
    """
    points = at_least_float32(points)
    first = torch.tensor(grid_points(grid, clusters)).to(points.device, non_blocking=True)
    centres = points.index_select(1, first)
    for _ in range(ITERATIONS):
        member = one_hot(nearest_centre(points, centres), clusters).to(points.dtype)
        count = member.sum(1)[..., None]
        mean = member.transpose(1, 2) @ points / count.clamp(min=1)
        centres = torch.where(count > 0, mean, centres)
    return nearest_centre(points, centres)


def grid_points(grid: Grid, count: int) -> list[int]:
    """Positions of `count` tokens, as far apart on the grid as a coarser grid puts them."""
    *rows_of_each, columns = grid
    rows = math.prod(rows_of_each)
    down = min(rows, max(1, math.ceil(math.sqrt(count * rows / columns))))
    across = min(columns, math.ceil(count / down))
    down = math.ceil(count / across)
    places = [
        int((i + 0.5) * rows / down) * columns + int((j + 0.5) * columns / across)
        for i in range(down)
        for j in range(across)
    ]
    return [places[k * len(places) // count] for k in range(count)]


def nearest_centre(points: Tensor, centres: Tensor) -> Tensor:
    """The centre with the smallest distance to each point, the first of equals."""
    # Without the points' own length, which no comparison needs.
    squares = centres.square().sum(-1)[:, None]
    return (squares - 2 * points @ centres.transpose(1, 2)).argmin(-1)


def one_hot(cluster: Tensor, clusters: int) -> Tensor:
    """`[images, tokens]` to float32 `[images, tokens, clusters]`."""
    return (cluster[..., None] == torch.arange(clusters, device=cluster.device)).float()


def cluster_scores(features: Tensor, cluster: Tensor, grid: Grid, clusters: int) -> Tensor:
    """Score of each cluster from its own features and its neighbours', `[images, clusters]`.

    Features are pooled to their channelwise maximum in each cluster. One layer then aggregates mean
    and maximum over the cluster itself and those that share an edge with it, without weights (the
    mean counts twice, as in the published code). The score is the length of the result. Clusters
    without tokens come last.
    """
    member = one_hot(cluster, clusters)
    index = cluster[..., None].expand_as(features)
    features = at_least_float32(features)
    low = torch.finfo(torch.float32).min
    start = torch.full_like(features[:, :1], low).repeat(1, clusters, 1)
    highest = start.scatter_reduce(1, index, features, "amax")
    filled = (member.sum(1) > 0)[..., None]
    highest = torch.where(filled, highest, torch.zeros_like(highest))
    near = neighbours(member, grid).to(features.dtype)
    mean = near @ highest / near.sum(-1, keepdim=True).clamp(min=1)
    others = highest[:, None]
    spreaded = torch.where(near[..., None] > 0, others, torch.full_like(others, low))
    score = torch.linalg.vector_norm(2 * mean + spreaded.amax(2), dim=-1)
    return torch.where(filled[..., 0], score, torch.full_like(score, -1.0))


def neighbours(member: Tensor, grid: Grid) -> Tensor:
    """Adjacency of clusters, `[images, clusters, clusters]` of 0 and 1, with 1 on the diagonal."""
    maps = member.unflatten(1, grid)
    touch: Tensor = torch.eye(member.shape[-1], device=member.device)[None]
    for axis, size in enumerate(grid, start=1):
        one, other = (maps.narrow(axis, first, size - 1).flatten(1, -2) for first in (1, 0))
        shared = one.transpose(1, 2) @ other
        touch = touch + shared + shared.transpose(1, 2)
    return (touch > 0).float()
