"""A stretch of blocks during one pass: its inputs and its residual."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from accel.stack import Face, Streams, Stretch


class StretchPass:
    """One stretch on its way through a pass.

    Attributes:
        inputs: streams that its first block got.
        found: residual by position in `stretch.streams`; None if a stream ended.
        adds: kept residual that is added if the stretch does not run.
        kinds: dtypes of the output of the last block.
    """

    def __init__(self, stretch: Stretch, first: Face) -> None:
        self.stretch, self.first = stretch, first
        self.clear()

    def clear(self) -> None:
        self.inputs: Streams = ()
        self.found: tuple[Tensor | None, ...] | None = None
        self.adds: tuple[Tensor | None, ...] = ()
        self.kinds: tuple[torch.dtype | None, ...] = ()

    def _pairs(self, face: Face, streams: Streams) -> Iterator[tuple[Any, Any]]:
        """Input of the stretch and value behind it, for each stream that is read behind it."""
        for name in self.stretch.streams:
            value = streams[face.names.index(name)]
            yield self._arriving(name, value), value

    def _arriving(self, name: str, like: Tensor | None) -> Any:
        """Input of the stretch in the order of tokens that its last block has."""
        value = self.inputs[self.first.names.index(name)]
        if not self.stretch.turned or value is None or like is None:
            return value
        return value.unflatten(0, (-1, like.shape[1])).transpose(1, 2).flatten(0, 1)

    def offer(self, face: Face, output: Any) -> None:
        """Record the residual from the output of the last block.

        A pass that left the first block out by itself (skip-layer guidance) has none, and so runs
        in full at every call.
        """
        if not self.inputs:
            return
        pairs = list(self._pairs(face, face.read(output)))
        self.found = tuple(None if b is None or a is None else b - a for a, b in pairs)
        self.kinds = tuple(None if b is None else b.dtype for _, b in pairs)

    def added(self, face: Face, streams: Streams) -> Streams:
        """Output of the last block, made of the input of the stretch and the kept residual."""
        found = list(streams)
        for name, added, kind in zip(self.stretch.streams, self.adds, self.kinds, strict=True):
            if added is not None:
                value = self._arriving(name, added) + added
                found[face.names.index(name)] = value if value.dtype == kind else value.to(kind)
        return tuple(found)


@dataclass
class Stop:
    """Task of one block at the current call; plain attributes, which compiled code may read.

    Attributes:
        runs: the block runs.
        enters: spans that start with it.
        leaves: spans that end with it, if they are computed.
        adds: the span that ends with it, if it does not run.
    """

    runs: bool = True
    enters: list[StretchPass] = field(default_factory=list)
    leaves: list[StretchPass] = field(default_factory=list)
    adds: StretchPass | None = None
