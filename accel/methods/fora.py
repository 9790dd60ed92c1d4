"""FORA (Selvaraju et al., arXiv 2407.01425): attention and MLP outputs reused between calls.

Each component's output is kept before its adaptive-norm gate, so gates and residuals follow the
current call (section 3.3). Norms before reused components are left out. If blocks hold equal copies
of an embedding, only one of them is computed. With order 1 or 2 the outputs are extrapolated over
the calls (the idea of TaylorSeer, arXiv 2503.06923). If guidance takes two passes, each has outputs
of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from accel.caching.cached_output import CachedOutput, skip_unread_norms, with_cached_output
from accel.caching.shared_embedding import share_equal_embedders
from accel.call_records import Recorder
from accel.clock import Clock
from accel.compatibility.attention_processors import Processors, Trait, of_parts
from accel.compatibility.chunked_feed_forward import ChunkedFeedForwardGuard
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, undo_all
from accel.sites import Sites, Sublayer
from strategies import StrategyError
from strategies.methods.fora import FORA


def attach(sites: Sites, clock: Clock, knobs: FORA, recorder: Recorder) -> Undo:
    """Reuse along the lists of `knobs` until undone.

    Raises:
        StrategyError: the model has no such parts, the lists have more groups than it has blocks,
            feed-forwards that are reused run in chunks, or others count on the calls of attention
            processors.
    """
    if not sites.parts:
        raise StrategyError(
            f"methods.fora finds no attention and no feed-forward of their own in the blocks of "
            f"{type(sites.denoiser).__name__}; take methods.fora out, methods.deltacache works"
        )
    for kind in ("attn", "mlp"):
        there = any(kind in part.kinds for part in sites.parts)
        if not there and not _all_computed(knobs, kind):
            raise StrategyError(
                f"methods.fora.{kind} is false at some calls, but {type(sites.denoiser).__name__} "
                f"has no such part whose output can be kept; leave {kind} out of methods.fora"
            )
    blocks = 1 + max(part.block for part in sites.parts)
    plans: list[tuple[Sublayer, list[bool]]] = []
    for part in sites.parts:
        streams = (knobs.computed(kind, part.block, blocks) for kind in part.kinds)
        computed = [any(kinds) for kinds in zip(*streams, strict=True)]
        if not all(computed):
            plans.append((part, computed))
    ChunkedFeedForwardGuard(sites, clock, "fora", [part for part, _ in plans])
    Processors(clock, "fora", of_parts(part for part, _ in plans), [Trait.KEEPS])
    undos: list[Undo] = []
    places: list[tuple[Sublayer, CachedOutput]] = []
    for part, computed in plans:
        place = CachedOutput(
            clock, recorder, computed.__getitem__, part.name, orders=knobs.order, text=part.text
        )
        undos += [replace_forward(module, skip_when_reused(place)) for module in part.inside]
        undos.append(replace_forward(part.module, with_cached_output(place)))
        places.append((part, place))
    if places:
        undos += skip_unread_norms(places, sites.parts) + share_equal_embedders(
            clock, sites.embedders
        )
    return lambda: undo_all(undos)


def _all_computed(knobs: FORA, kind: str) -> bool:
    """Whether a component is computed at all calls, in all groups of blocks."""
    values = getattr(knobs, kind)
    return all(all(one) if isinstance(one, tuple) else one for one in values)


def skip_when_reused(place: CachedOutput) -> Callable[[Forward], Forward]:
    """Wrapper of a module that only `place` reads: if that reuses its result, return tokens of
    width 0.
    """

    def make(original: Forward) -> Forward:
        def forward(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            nothing = hidden_states[..., :0]
            if place.find(nothing) is not None:
                return nothing
            return original(hidden_states, *args, **kwargs)

        return forward

    return make
