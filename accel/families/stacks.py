"""The stack of blocks of any transformer of diffusers, found by how its source runs it.

`DESCRIBED` has the models for which the source alone is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from accel.families import source
from accel.families.source import Loop
from accel.pipelines.wrappers import unwrapped
from accel.stack import BlockList, Face, StackBlock


@dataclass(frozen=True)
class Description:
    """Differences of a model from what its source says.

    Attributes:
        cut: name of a list that it runs in two parts with other streams, and the number of blocks
            in the second part.
        skips: whether blocks of the second half read the output of blocks of the first half.
        turns: whether blocks of two lists run in turns, on tokens in two orders.
        refused: reason why its blocks cannot be left out.
    """

    cut: Callable[[Any], tuple[str, int]] | None = None
    skips: bool = False
    turns: bool = False
    refused: str = ""


DESCRIBED: dict[str, Description] = {
    # Its last single blocks decode: they start from other tokens.
    "MotifVideoTransformer3DModel": Description(
        cut=lambda model: ("single_transformer_blocks", model.num_decoder_layers)
    ),
    # A block reads the output of its mirror image, as in a U-Net.
    "HunyuanDiT2DModel": Description(skips=True),
    "Cosmos3OmniTransformer": Description(
        refused="it packs several inputs, each with times of its own, and takes no timestep"
    ),
    # Spatial and temporal blocks.
    "LatteTransformer3DModel": Description(turns=True),
}


def find_stack(denoiser: Any) -> tuple[BlockList, ...]:
    """The lists of blocks of a denoiser in the order they run; none where there are none."""
    described = DESCRIBED.get(type(denoiser).__name__, Description())
    if described.refused or not isinstance(denoiser, nn.Module):
        return ()
    lists = {
        name: child
        for name, child in denoiser.named_children()
        if isinstance(child, nn.ModuleList) and len(child)
    }
    found: list[BlockList] = []
    loops = source.loops(denoiser, lists)
    for before, loop in zip([None, *loops], loops, strict=False):
        if len(loop.lists) > 1:
            return _in_turns(loop, lists) if described.turns else ()
        (name,) = loop.lists
        blocks = tuple(_blocks(name, lists[name]))
        if not blocks:
            continue
        face = blocks[0].face
        joined = (
            loop.straight
            and before is not None
            and bool(found)
            and found[-1].name == before.lists[0]
            and set(found[-1].blocks[0].face.names) == set(face.names)
        )
        found.append(BlockList(name, blocks, joined, _unread(loop, face), described.skips))
    return tuple(_cut(found, described, denoiser))


def why_no_stack(denoiser: Any) -> str:
    """Reason why a model has no stack that can be left out, or empty if none is known."""
    return DESCRIBED.get(type(denoiser).__name__, Description()).refused


def _blocks(name: str, modules: nn.ModuleList) -> Iterator[StackBlock]:
    """The blocks of one list, or none where one of them is no block."""
    found = []
    for number, module in enumerate(modules):
        block = unwrapped(module)
        face = source.block_face(block)
        if face is None:
            return
        found.append(StackBlock(f"{name}.{number}", block, face))
    yield from found


def _in_turns(loop: Loop, lists: dict[str, nn.ModuleList]) -> tuple[BlockList, ...]:
    """The blocks of two lists as one, in the order they run."""
    found = [tuple(_blocks(name, lists[name])) for name in loop.lists]
    blocks = tuple(block for pair in zip(*found, strict=False) for block in pair)
    return (BlockList(loop.lists[0], blocks, turns=True),) if blocks else ()


def _unread(loop: Loop, face: Face) -> frozenset[str]:
    """The streams whose variables nothing reads behind the loop."""
    if len(loop.given) == 1 and face.bare is not None:
        form: tuple[int | None, ...] = (face.bare,)
    else:
        form = next((one for one in face.forms if len(one) == len(loop.given)), ())
    pairs = zip(form, loop.given, strict=False)
    return frozenset(face.names[i] for i, name in pairs if i is not None and name not in loop.later)


def _cut(found: list[BlockList], described: Description, denoiser: Any) -> Iterator[BlockList]:
    name, count = described.cut(denoiser) if described.cut else ("", 0)
    for one in found:
        if one.name != name or not 0 < count < len(one.blocks):
            yield one
            continue
        yield BlockList(one.name, one.blocks[:-count], one.joined, frozenset(), one.skips)
        yield BlockList(one.name, one.blocks[-count:], False, one.unread, one.skips)
