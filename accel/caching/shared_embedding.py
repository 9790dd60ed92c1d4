"""Embeddings of time and class that blocks hold equal copies of, computed once in a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from accel.clock import CallListener, Clock
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward


def share_equal_embedders(clock: Clock, embedders: Sequence[nn.Module]) -> list[Undo]:
    """Let embedders that equal the first one use its embedding, until undone.

    diffusers' DiT has an embedder in every block, and the published model has one for all (Peebles
    & Xie, arXiv 2212.09748, section 3.2). Their weights are equal and so is the embedding, so
    images do not change.
    """
    alike = [one for one in embedders if equal(one, embedders[0])]
    if len(alike) < 2:
        return []
    embedding = SharedEmbedding(clock)
    return [replace_forward(one, embedding.instead) for one in alike]


def equal(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules compute the same, judged by their weights."""
    mine, theirs = weights_by_name(one), weights_by_name(other)
    if type(one) is not type(other) or mine.keys() != theirs.keys():
        return False
    return all(_equal(mine[name], theirs[name]) for name in mine)


def weights_by_name(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, including those that are not saved."""
    parameters = module.named_parameters(remove_duplicate=False)
    return {**dict(parameters), **dict(module.named_buffers(remove_duplicate=False))}


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two weights are equal; False if that cannot be told.

    Quantized weights of torchao and optimum-quanto consist of plain tensors, which are compared one
    by one. Others keep a scale elsewhere, so that equal integers prove nothing.
    """
    if (type(one), one.dtype) != (type(other), other.dtype):
        return False
    if is_traceable_wrapper_subclass(one) and is_traceable_wrapper_subclass(other):
        (mine, how), (theirs, other_how) = one.__tensor_flatten__(), other.__tensor_flatten__()
        same = mine == theirs and bool(how == other_how)
        return same and all(_holds_equal(getattr(one, n), getattr(other, n)) for n in mine)
    if not one.is_floating_point() or type(one) not in (Tensor, nn.Parameter):
        return False
    return _same_values(one, other)


def _holds_equal(one: Any, other: Any) -> bool:
    """Whether two components of a quantized weight are equal."""
    if isinstance(one, Tensor) and is_traceable_wrapper_subclass(one):
        return _equal(cast(Tensor, one), other)
    return isinstance(other, Tensor) and type(one) is Tensor and _same_values(one, other)


def _same_values(one: Tensor, other: Tensor) -> bool:
    if one.is_meta or other.is_meta:  # Offloaded.
        return False
    same = (one.dtype, one.device, one.shape) == (other.dtype, other.device, other.shape)
    return same and torch.equal(one, other)


class SharedEmbedding(CallListener):
    """Result of the first embedder in a pass, for the others with the same inputs."""

    def __init__(self, clock: Clock) -> None:
        self.begin()
        clock.listeners.append(self)

    def begin(self) -> None:
        self._time: Any = None
        self._label: Any = None
        self._value: Any = None

    def end(self, output: Tensor) -> None:
        self.begin()

    def clear(self) -> None:
        self.begin()

    def instead(self, original: Forward) -> Forward:
        """Wrapper of an embedder of `[rows]` timesteps and labels."""

        def forward(timestep: Tensor, class_labels: Tensor, **kwargs: Any) -> Any:
            if self._time is timestep and self._label is class_labels:
                return self._value
            value = original(timestep, class_labels, **kwargs)
            self._time, self._label, self._value = timestep, class_labels, value
            return value

        return forward
