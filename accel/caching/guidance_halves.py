"""Rows of the two halves of guidance, if these do not run together at every call.

A doubled batch holds every image twice. If the half with the prompt runs alone, only its rows are
computed. Kept values are then of all rows or of this half. The other half keeps its own last
values. Values that it lacks are computed for both halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from accel.caching.extrapolation import History, extrapolate
from accel.clock import Clock
from accel.patching.layers import Forward
from accel.patching.replacing import untraced


def first_tensor(value: Any) -> Tensor:
    """A tensor, or the first of a tuple: for joint attention the image's tokens."""
    found: Tensor = value[0] if isinstance(value, tuple) else value
    return found


def part(value: Any, half: int) -> Any:
    """One half of the rows of a tensor, or of each tensor in a tuple."""
    if isinstance(value, tuple):
        return tuple(None if one is None else part(one, half) for one in value)
    return value.chunk(2)[half]


def joined(unconditional: Any, conditional: Any, clock: Clock) -> Any:
    """Two halves joined into one batch, for tensors or tuples of tensors."""
    if isinstance(conditional, tuple):
        pairs = zip(unconditional, conditional, strict=True)
        return tuple(None if a is None else joined(a, b, clock) for a, b in pairs)
    pair = (unconditional, conditional)
    return torch.cat(pair if clock.conditional else pair[::-1])


def select_active_rows(value: Any, clock: Clock, rows: int | None = None) -> Any:
    """Rows of a kept value that run now, or None if the value does not have them.

    Args:
        value: a tensor, or a tuple of tensors, of all rows or of those of one half.
        clock: the sampler's clock.
        rows: number of rows that run; by default those of the denoiser's blocks.
    """
    wanted, there = clock.active_rows if rows is None else rows, len(first_tensor(value))
    if there == wanted:
        return value
    if clock.half is not None and there == 2 * wanted:
        return part(value, clock.half)
    return None


def merged_rows(whole: Any, made: Any, clock: Clock) -> Any:
    """Value to keep after a call: all rows, with newly computed ones replaced.

    Args:
        whole: value that was kept before, or None.
        made: newly computed rows.
        clock: the sampler's clock.
    """
    if (
        clock.half is None
        or whole is None
        or len(first_tensor(whole)) != 2 * len(first_tensor(made))
    ):
        return made
    other = part(whole, 1 - clock.half)
    pair = (made, other) if clock.half == clock.conditional else (other, made)
    return joined(pair[1], pair[0], clock)


def recalled(history: History, clock: Clock, order: int, rows: int | None = None) -> Any:
    """Replacement of a result at this call for the rows that run, or None if there is none.

    Each half is extrapolated over the calls at which it ran itself.

    Args:
        history: calls, ascending, and results of all rows or of the conditional half's alone.
        clock: the sampler's clock.
        order: order of the extrapolation.
        rows: number of rows that run; by default those of the denoiser's blocks.
    """
    newest = select_active_rows(history[-1][1], clock, rows)
    if newest is None or order == 0 or len(history) == 1:
        return newest
    wanted = clock.active_rows if rows is None else rows
    alike = all(len(first_tensor(value)) == wanted for _, value in history)
    if alike:
        return extrapolate(history, clock.call, order)
    if clock.half is not None:
        found = [(call, select_active_rows(value, clock, rows)) for call, value in history]
        return extrapolate([one for one in found if one[1] is not None], clock.call, order)
    # Both run, after calls at which the one with the prompt ran alone.
    whole = [one for one in history if len(first_tensor(one[1])) == wanted]
    alone = clock.conditional
    sides = (
        [(call, part(value, 1 - alone)) for call, value in whole],
        [(c, part(v, alone) if len(first_tensor(v)) == wanted else v) for c, v in history],
    )
    unconditional, conditional = (extrapolate(side, clock.call, order) for side in sides)
    return joined(unconditional, conditional, clock)


def newest_results(history: History, count: int) -> History:
    """The last `count` results of all rows and the last `count` of any rows, which later calls
    read.
    """
    if count >= len(history) or not count:
        return history if count else []
    rows = max(len(first_tensor(value)) for _, value in history)
    whole = [call for call, value in history if len(first_tensor(value)) == rows]
    kept = {*whole[-count:], *[call for call, _ in history[-count:]]}
    return [one for one in history if one[0] in kept]


@untraced
def taken(value: Any, rows: int, half: int, listed: bool = False) -> Any:
    """Arguments of the denoiser for one half: the matching rows of every tensor with one row per
    sample.

    Args:
        value: a tensor, or a container of tensors.
        rows: number of rows of the whole batch.
        half: half to take, 0 or 1.
        listed: whether a list of so many items has one for each row.
    """
    if isinstance(value, Tensor):
        return value.chunk(2)[half] if value.ndim and len(value) == rows else value
    if isinstance(value, dict):
        return {key: taken(item, rows, half, listed) for key, item in value.items()}
    if listed and isinstance(value, list) and len(value) == rows:
        return value[half * rows // 2 : (half + 1) * rows // 2]
    if isinstance(value, list | tuple):
        return type(value)(taken(item, rows, half, listed) for item in value)
    return value


def run_half(
    original: Forward, args: Any, kwargs: Any, rows: int, half: int, listed: bool = False
) -> Any:
    """Output of the denoiser for one half of a doubled batch, without running the other.

    Args:
        original: the denoiser's forward.
        args, kwargs: its arguments for the whole batch.
        rows: number of rows of the whole batch.
        half: half that runs, 0 or 1.
        listed: whether the denoiser takes its rows as lists.
    """
    halved = [taken(value, rows, half, listed) for value in (args, kwargs)]
    return original(*halved[0], **halved[1])


def differences_needed_later(modes: Sequence[str], orders: Sequence[int]) -> list[int]:
    """Number of most recent guidance differences that later calls need, for each call."""
    found, wanted = [], 0
    for mode, order in zip(reversed(modes), reversed(orders), strict=True):
        found.append(wanted)
        if mode == "full":
            wanted = max(0, wanted - 1)
        elif mode == "reuse":
            wanted = max(wanted, order + 1)
    return found[::-1]
