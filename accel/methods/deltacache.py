"""Delta-DiT (Chen et al., arXiv 2406.01125): reuse of what a stretch of blocks added.

Kept is the difference between what a stretch of blocks gave and what it got, one tensor for each
stream of tokens, not one for each block. At a later call the stretch does not run: its difference
is added to what arrives there. The paper leaves out the back blocks in early calls and the front
ones later; here every call has a front that runs before the stretch and a tail that runs after it,
as in cache-dit's DBCache. With order 1 or 2 the difference is extrapolated over the full calls
(the idea of TaylorSeer, arXiv 2503.06923). At depth "skip" the network does not run, and the
previous prediction is repeated.

Differences are made at full calls alone. Where the streams change between two lists of blocks
(FLUX.2 joins text and image), each list has a stretch of its own. What is added between two blocks,
by a ControlNet say, belongs to the stretch around it and is reused with it. Each pass of a call has
differences of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accel.caching.residuals import Residuals
from accel.caching.shared_embedding import share_equal_embedders
from accel.caching.spans import Stop
from accel.call_records import Recorder
from accel.clock import Clock
from accel.compatibility.attention_processors import Processors, Trait, attentions
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, undo_all
from accel.sites import Sites
from accel.stack import Face, numbered
from strategies import StrategyError
from strategies.methods.deltacache import DeltaCache


def attach(sites: Sites, clock: Clock, knobs: DeltaCache, recorder: Recorder) -> Undo:
    """Reuse along the lists of `knobs` until undone.

    Raises:
        StrategyError: a front and a tail that leave no block out, a model without blocks, or
            attention processors whose calls others count on.
    """
    blocks = numbered(sites.stack)
    network = type(sites.denoiser).__name__
    if not blocks:
        raise StrategyError(
            "methods.deltacache needs lists of blocks that run one after the other, which "
            f"{network} does not have; take methods.deltacache out"
        )
    _check(sites, knobs, len(blocks))
    if not knobs.is_neutral():
        Processors(clock, "deltacache", attentions(sites.denoiser), [Trait.KEEPS])
    kept = Residuals(sites, clock, knobs, recorder)
    undos = [
        replace_forward(block.module, _block(stop, block.face))
        for block, stop in zip(blocks, kept.stops, strict=True)
    ]
    undos.append(replace_forward(sites.denoiser, _denoiser(kept), traced=False))
    undos += share_equal_embedders(clock, sites.embedders)
    return lambda: undo_all(undos)


def _check(sites: Sites, knobs: DeltaCache, count: int) -> None:
    """See that every call leaves a block out that it can leave out."""
    skips = any(one.skips for one in sites.stack)
    network = type(sites.denoiser).__name__
    for call, (depth, tail) in enumerate(zip(knobs.depth, knobs.tail, strict=True)):
        if isinstance(depth, str):
            continue
        if depth >= count:
            raise StrategyError(
                f"methods.deltacache.depth[{call}] is {depth}, but {network} has {count} blocks; "
                f'use "full", "skip" or 0 to {count - 1}'
            )
        if depth + tail >= count:
            raise StrategyError(
                f"methods.deltacache.depth[{call}] is {depth} and tail[{call}] is {tail}, but "
                f"{network} has {count} blocks, so that none is left out; together they may be at "
                f"most {count - 1}"
            )
        if skips and tail > depth:
            raise StrategyError(
                f"methods.deltacache.tail[{call}] is {tail} and depth[{call}] is {depth}, but in "
                f"{network} a block at the end reads what its mirror image at the start gave; use "
                "a tail of at most the depth"
            )


def _denoiser(kept: Residuals) -> Callable[[Forward], Forward]:
    def make(original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            kept.decide(args, kwargs)
            if kept.skipping:
                return kept.repeated()
            output = original(*args, **kwargs)
            kept.predicted(output)
            return output

        return forward

    return make


def _block(stop: Stop, face: Face) -> Callable[[Forward], Forward]:
    """Wrap a block: it runs, hands its streams through, or adds what its stretch added before."""

    def make(original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            for one in stop.enters:
                one.inputs = face.take(args, kwargs)
            if stop.runs:
                output = original(*args, **kwargs)
                for one in stop.leaves:
                    one.offer(face, output)
                return output
            streams = face.take(args, kwargs)
            return face.give(streams if stop.adds is None else stop.adds.added(face, streams))

        return forward

    return make
