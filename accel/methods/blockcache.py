"""Block Caching (Wimbauer et al., "Cache Me if You Can", CVPR 2024, arXiv 2312.03209).

The contribution of a residual or transformer block is kept, and added again at calls at which the
block is not computed (section 3.2). The schedule follows from how much that contribution changes
from call to call (section 3.3): `accel.change_curves` measures it, `BlockCache.from_curves` applies
the threshold. The paper's trained scale and shift are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from accel.caching.cached_output import CachedOutput
from accel.call_records import Recorder
from accel.clock import Clock
from accel.compatibility.attention_processors import Processors, Trait, attentions
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, undo_all
from accel.sites import Block, Sites
from strategies import StrategyError
from strategies.methods.blockcache import BlockCache


def attach(sites: Sites, clock: Clock, knobs: BlockCache, recorder: Recorder) -> Undo:
    """Reuse along `knobs` until undone.

    Raises:
        StrategyError: a block that the model does not have, more groups than it has blocks, or a
            block with attention processors whose calls others count on.
    """
    names = [block.name for block in sites.blocks]
    for name in knobs.refresh:
        if name not in names:
            raise StrategyError(
                f"methods.blockcache.refresh has {name!r}, which this model does not have; its "
                f"blocks are {', '.join(names)}"
            )
    undos: list[Undo] = []
    for index, block in enumerate(sites.blocks):
        computes = _computes(knobs, block.name, index, len(names))
        if computes is not None:
            Processors(clock, "blockcache", attentions(block.module, block.name), [Trait.KEEPS])
            place = CachedOutput(clock, recorder, computes, block.name)
            undos.append(replace_forward(block.module, _wrap(place, block)))
    return lambda: undo_all(undos)


def _computes(
    knobs: BlockCache, name: str, index: int, blocks: int
) -> Callable[[int], bool] | None:
    """Predicate on a call's index: whether it computes a block.

    None for a block that always runs.
    """
    if name in knobs.refresh:
        return set(knobs.refresh[name]).__contains__
    found = knobs.computed(index, blocks)
    return None if found is None else found.__getitem__


def _wrap(place: CachedOutput, block: Block) -> Callable[[Forward], Forward]:
    def make(original: Forward) -> Forward:
        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            if place.value is None and not place.keep:
                return original(hidden_states, *args, **kwargs)
            around = block.skip_path(hidden_states)
            found = place.find(around)
            if found is not None:
                return (around + found,) if block.in_tuple else around + found
            output = original(hidden_states, *args, **kwargs)
            place.offer((output[0] if block.in_tuple else output) - around)
            return output

        return forward

    return make
