"""Results of the calls before: how many are worth keeping, and what they say about the next one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from strategies.knobs import Depth

History = list[tuple[int, Any]]  # Calls, ascending, and what was computed at each.
Needs = dict[int, int]
FULL = 1 << 30  # Deeper than any network.


def needs(depths: Sequence[Depth], orders: Sequence[int]) -> list[Needs]:
    """For each call, by depth, how many of the newest features later calls read.

    The feature below the outermost d levels is computed at every call deeper than d; one of order o
    reads the o + 1 newest.
    """
    later: list[Needs] = []
    wanted: Needs = {}
    for depth, order in zip(reversed(depths), reversed(orders), strict=True):
        later.append(dict(wanted))
        reach = FULL if depth == "full" else depth
        # This call makes the features below fewer levels than it runs, and no others.
        wanted = {d: n - 1 if d < reach else n for d, n in wanted.items() if d >= reach or n > 1}
        if depth != "full":
            wanted[depth] = max(wanted.get(depth, 0), order + 1)
    return later[::-1]


def extrapolate(history: Sequence[tuple[int, Tensor]], call: int, order: int) -> Tensor:
    """The Lagrange polynomial through the `order + 1` newest features, or all there are.

    Summed as the newest feature and weighted differences to it, which stay small in half precision.

    Args:
        history: calls, ascending, and features of one shape.
        call: where it is evaluated.
        order: 0 gives the newest feature itself.
    """
    points = list(history)[-(order + 1) :]
    newest = points[-1][1]
    if len(points) == 1:
        return newest
    value = newest.clone()
    for at, feature in points[:-1]:
        weight = 1.0
        for other, _ in points:
            if other != at:
                weight *= (call - other) / (at - other)
        value.add_(feature - newest, alpha=weight)
    return value


def fold(passes: dict[int, History], halves: bool) -> dict[int, History]:
    """Histories by pass, averaged over the two halves of guidance; of the first pass from then on.

    Args:
        passes: by pass, histories of tensors `[rows, ...]`.
        halves: the rows of one pass hold both halves; else two passes hold one each.
    """
    if halves:
        return {b: [(call, mean_of_halves(v)) for call, v in h] for b, h in passes.items()}
    if len(passes) < 2:
        return {}
    pairs = zip(reversed(passes[0]), reversed(passes[1]), strict=False)
    return {0: [(min(a, b), (one + other) / 2) for (a, one), (b, other) in pairs][::-1]}


def mean_of_halves(value: Tensor) -> Tensor:
    """`[2 n, ...]` to `[n, ...]`."""
    first, second = value.chunk(2)
    return torch.add(first, second).div_(2)
