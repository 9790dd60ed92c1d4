"""Extrapolation of kept results over calls, and how many results must be kept for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from strategies.knobs import Depth

History = list[tuple[int, Any]]  # Calls, ascending, and what was computed at each.
Needs = dict[int, int]
FULL = 1 << 30  # Deeper than any network.


def features_needed_later(depths: Sequence[Depth], orders: Sequence[int]) -> list[Needs]:
    """Number of most recent features that later calls still need, for each call and depth.

    The feature below the outermost d levels is computed at every call with depth above d.
    Extrapolation of order o needs the last o + 1 of them.
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


def extrapolate(history: Sequence[tuple[int, Any]], call: int, order: int) -> Any:
    """Value at a call of the Lagrange polynomial through the last `order + 1` features, or all
    there are.

    It is summed as the newest feature plus weighted differences to it, which stay small in half
    precision.

    Args:
        history: calls, ascending, and features of one shape, or tuples of such features.
        call: call at which the polynomial is evaluated.
        order: order of the polynomial; 0 gives the newest feature itself.
    """
    newest = history[-1][1]
    if isinstance(newest, tuple):
        columns = [[(at, value[i]) for at, value in history] for i in range(len(newest))]
        return tuple(extrapolate(column, call, order) for column in columns)
    points = list(history)[-(order + 1) :]
    if len(points) == 1:
        return newest
    value = newest
    for at, feature in points[:-1]:
        weight = 1.0
        for other, _ in points:
            if other != at:
                weight *= (call - other) / (at - other)
        value = torch.add(value, feature - newest, alpha=weight)
    return value
