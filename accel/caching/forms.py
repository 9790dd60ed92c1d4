"""Forms of a denoiser's arguments and outputs: tensors, and lists with a tensor for each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def is_rows(value: Any) -> bool:
    """Whether a part of an output is a list with a tensor for each row."""
    alike = isinstance(value, list) and all(isinstance(one, Tensor) for one in value)
    return alike and len({one.shape for one in value}) == 1


def whole_tensor(value: Any) -> Tensor:
    """A tensor, or the tensors of a list as one, so that each row can be told from the others."""
    found: Tensor = torch.stack(value) if isinstance(value, list) else value
    return found


def undone(value: Any) -> Callable[[Tensor], Any]:
    """Function that undoes `whole_tensor`."""
    return _unbound if isinstance(value, list) else _itself


def _unbound(found: Tensor) -> list[Tensor]:
    return list(found.unbind())


def _itself(found: Tensor) -> Tensor:
    return found


def sign(value: Any, rows: int) -> Any:
    """Shapes, types and places of all tensors in a value, however many rows they have.

    Of a list with a tensor for each row it is the largest size, which the network pads them to.
    """
    if isinstance(value, list) and len(value) == rows and _are_alike(value):
        sizes = zip(*(one.shape for one in value), strict=True)
        return (tuple(map(max, sizes)), value[0].dtype, value[0].device)
    if isinstance(value, Tensor):
        own = value.shape[1:] if value.ndim and len(value) == rows else value.shape
        return (own, value.dtype, value.device)
    if isinstance(value, dict):
        return tuple(sign(one, rows) for _, one in sorted(value.items()))
    return tuple(sign(o, rows) for o in value) if isinstance(value, list | tuple) else ()


def _are_alike(values: list[Any]) -> bool:
    """Whether all are tensors of as many dimensions."""
    tensors = all(isinstance(one, Tensor) for one in values)
    return tensors and len({one.ndim for one in values}) == 1
