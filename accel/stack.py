"""The blocks of a transformer in the order they run, and the streams of tokens that pass them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Streams = tuple[Any, ...]  # A tensor for each stream, or None where a block has no such stream.


@dataclass(frozen=True)
class Face:
    """Arguments and outputs of a kind of block that are streams of tokens.

    Attributes:
        names: names of the streams, which are names of arguments.
        places: position of each stream among the positional arguments.
        forms: tuples that a block may return, as indices of streams, with None for anything else.
        bare: index of the stream that it may return as a tensor by itself, or None.
    """

    names: tuple[str, ...]
    places: tuple[int, ...]
    forms: tuple[tuple[int | None, ...], ...]
    bare: int | None

    def take(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Streams:
        """The streams among the arguments of a block."""
        return tuple(
            kwargs[name] if name in kwargs else (args[at] if at < len(args) else None)
            for name, at in zip(self.names, self.places, strict=True)
        )

    def read(self, output: Any) -> Streams:
        """The streams in the output of a block."""
        found: list[Any] = [None] * len(self.names)
        if not isinstance(output, tuple):
            found[self.bare or 0] = output
            return tuple(found)
        form = next((one for one in self.forms if len(one) == len(output)), ())
        for stream, value in zip(form, output, strict=False):
            if stream is not None:
                found[stream] = value
        return tuple(found)

    def give(self, streams: Streams) -> Any:
        """Streams as a block with these inputs returns them."""
        there = {i for i, value in enumerate(streams) if value is not None}
        for form in self.forms:
            if all(i is not None and i in there for i in form) and len(form) == len(there):
                return tuple(streams[i] for i in form if i is not None)
        if self.bare is not None:
            return streams[self.bare]
        form = next(one for one in self.forms if None not in one)
        return tuple(None if i is None else streams[i] for i in form)


@dataclass(frozen=True)
class StackBlock:
    """One block of a stack.

    Attributes:
        name: name in the denoiser.
        module: the block.
        face: its streams.
    """

    name: str
    module: nn.Module
    face: Face


@dataclass(frozen=True)
class BlockList:
    """Blocks that hand their streams on from one to the next.

    Attributes:
        name: name of the list in the denoiser.
        blocks: blocks in the order they run.
        joined: whether the first block gets its streams straight from the last block of the list
            before.
        unread: names of streams that nothing reads behind the last block.
        skips: whether a block of the second half also reads the output of its mirror image in the
            first half.
        turns: whether blocks of two lists run in turns, those of the second on tokens in another
            order: `[n * t, f, c]` after `[n * f, t, c]`.
    """

    name: str
    blocks: tuple[StackBlock, ...]
    joined: bool = False
    unread: frozenset[str] = frozenset()
    skips: bool = False
    turns: bool = False

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the lists that its blocks are in."""
        return tuple(dict.fromkeys(block.name.rpartition(".")[0] for block in self.blocks))


@dataclass(frozen=True)
class Stretch:
    """Consecutive blocks over which streams run through, so that one residual stands for them.

    Attributes:
        first, last: numbers of its blocks in the stack.
        streams: names of the streams that are read behind it.
        turned: whether its first and its last block have tokens in different orders.
    """

    first: int
    last: int
    streams: tuple[str, ...]
    turned: bool = False


def stretches(lists: Sequence[BlockList], start: int, stop: int) -> list[Stretch]:
    """Blocks `start` to before `stop` of a stack, cut where streams change from list to list."""
    found: list[Stretch] = []
    at = 0
    for one in lists:
        first, last = max(start, at), min(stop, at + len(one.blocks)) - 1
        if first <= last:
            names = one.blocks[0].face.names
            ends = last == at + len(one.blocks) - 1
            streams = tuple(n for n in names if not (ends and n in one.unread))
            if one.joined and found and found[-1].last == at - 1:
                first = found.pop().first
            turned = one.turns and (last - first) % 2 == 1
            found.append(Stretch(first, last, streams, turned))
        at += len(one.blocks)
    return found


def numbered(lists: Sequence[BlockList]) -> list[StackBlock]:
    """All blocks of a stack in the order they run."""
    return [block for one in lists for block in one.blocks]


def is_tensor(value: Any) -> bool:
    """Whether a stream is there."""
    return isinstance(value, Tensor)
