"""Blocks of a transformer that hand their tokens through, and add what they added before.

ComfyUI lets a patch replace a block. It calls the patch with the block's inputs by name (`img`, and
`txt` where the block has text) and a function that runs the original block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from .history import History
from .plan import Call, PlanError

STREAMS = ("img", "txt")
# Attributes of ComfyUI's networks with a list of blocks, and the name that patches know it by.
LISTS = (
    (("double_blocks", "double_block"), ("single_blocks", "single_block")),
    (("joint_blocks", "double_block"),),
    (("transformer_blocks", "double_block"),),
)
# Classes of networks whose blocks can be replaced in this way, by their published source.
NETWORKS = {
    "Flux": LISTS[0],
    "OpenAISignatureMMDITWrapper": LISTS[1],
    "QwenImageTransformer2DModel": LISTS[2],
}
Patch = Callable[[dict, dict], dict]


@dataclass
class Place:
    """One block: the list it is in, and its number over all lists.

    Attributes:
        kind, index: name of the list for patches, and number of the block in it.
        number: number over all lists.
        first, last: numbers of the first and the last block of its list.
    """

    kind: str
    index: int
    number: int
    first: int
    last: int


def places(network: object) -> list[Place]:
    """Blocks of a network in the order in which they run.

    Raises:
        PlanError: its blocks cannot be replaced.
    """
    name = type(network).__name__
    if name not in NETWORKS:
        raise PlanError(
            f"deltacache with a number of blocks needs one of {', '.join(NETWORKS)}, and the model "
            f'is a {name}; use a strategy with "full" and "skip" alone'
        )
    found: list[Place] = []
    for attribute, kind in NETWORKS[name]:
        count, start = len(getattr(network, attribute, ())), len(found)
        found += [Place(kind, i, start + i, start, start + count - 1) for i in range(count)]
    return found


@dataclass
class Pass:
    """One pass of the network: its call, the kinds of its rows, and whether it reuses."""

    call: int
    action: Call
    kinds: list[int]
    reuses: bool


@dataclass
class Stack:
    """Residuals of stretches of blocks.

    Attributes:
        places: blocks of the network.
        stretches: fronts and tails of the plan.
        size: number of calls whose residuals are kept.
        now: present pass.
    """

    places: list[Place]
    stretches: set[tuple[int, int]]
    size: int = 1
    now: Pass | None = None
    _kept: dict[tuple, History] = field(default_factory=dict)
    _inputs: dict[tuple, dict[str, torch.Tensor]] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget everything, between two generations."""
        self._kept.clear()
        self._inputs.clear()

    def forget(self, kind: int) -> None:
        """Forget what was kept for rows of one kind."""
        for key in [key for key in self._kept if key[-1] == kind]:
            del self._kept[key]

    def knows(self, action: Call, kinds: list[int]) -> bool:
        """Whether residuals of a stretch are there for all these rows."""
        key = (action.front, action.tail)
        starts = {first for first, _ in self._spans(*key)}
        return all((key, start, kind) in self._kept for start in starts for kind in kinds)

    def patch(self, place: Place) -> Patch:
        """Patch of one block."""

        def replaced(args: dict, extra: dict) -> dict:
            now = self.now
            if now is None:
                return extra["original_block"](args)
            if now.reuses:
                span = self._span(place, now.action.front, now.action.tail)
                if span is not None:
                    return self._reused(args, span, place, now)
            elif now.action.whole:
                self._enter(args, place)
            out = extra["original_block"](args)
            if not now.reuses and now.action.whole:
                self._leave(out, place, now)
            return out

        return replaced

    def _spans(self, front: int, tail: int) -> list[tuple[int, int]]:
        """First and last block of what a stretch leaves out in each list."""
        end = len(self.places) - tail - 1
        lists = {(one.first, one.last) for one in self.places}
        spans = [(max(first, front), min(last, end)) for first, last in sorted(lists)]
        return [(first, last) for first, last in spans if first <= last]

    def _span(self, place: Place, front: int | None, tail: int) -> tuple[int, int] | None:
        assert front is not None
        spans = self._spans(front, tail)
        return next((one for one in spans if one[0] <= place.number <= one[1]), None)

    def _enter(self, args: dict, place: Place) -> None:
        for key in self.stretches:
            for first, _ in self._spans(*key):
                if place.number == first:
                    # Networks change their tokens in place.
                    self._inputs[key, first] = {n: v.clone() for n, v in _streams(args).items()}

    def _leave(self, out: dict, place: Place, now: Pass) -> None:
        given = _streams(out)
        for key in self.stretches:
            for first, last in self._spans(*key):
                if place.number != last or (key, first) not in self._inputs:
                    continue
                before = self._inputs.pop((key, first))
                added = [given[n] - before[n] if n in given and n in before else None
                         for n in STREAMS]  # fmt: skip
                for place_of, kind in enumerate(now.kinds):
                    part = [
                        None if one is None else one.chunk(len(now.kinds))[place_of]
                        for one in added
                    ]
                    self._kept.setdefault((key, first, kind), History(self.size)).add(
                        now.call, part
                    )

    def _reused(self, args: dict, span: tuple[int, int], place: Place, now: Pass) -> dict:
        """Tokens as they come in; behind the last block with what the stretch added."""
        streams = _streams(args)
        if place.number != span[1]:
            return dict(streams)
        key = (now.action.front, now.action.tail)
        order = now.action.order
        rows = [self._kept[key, span[0], kind].at(now.call, order) for kind in now.kinds]
        made = dict(streams)
        for number, name in enumerate(STREAMS):
            parts = [row[number] for row in rows]
            if name in streams and all(part is not None for part in parts):
                made[name] = streams[name] + torch.cat(parts).to(streams[name])
        return made


def _streams(values: dict) -> dict[str, torch.Tensor]:
    return {name: values[name] for name in STREAMS if values.get(name) is not None}
