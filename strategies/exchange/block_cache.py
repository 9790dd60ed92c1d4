"""A strategy in the terms of cache-dit: a steps mask, and the blocks that run around the cache.

Where the mask has 0, cache-dit runs the first blocks and the last ones. In place of the others it
adds what they added when they last ran, which is what `deltacache` does. `fora` reuses the output
of each sublayer instead, so the two compute at the same calls but generate other images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from strategies.errors import StrategyError
from strategies.knobs import Knobs
from strategies.methods.deltacache import DeltaCache
from strategies.methods.fora import COMPONENTS, FORA
from strategies.strategy import Strategy

FAMILIES = ("dit", "mmdit", "transformer")
# Up to this call cache-dit's TaylorSeer calibrator takes no slope from the calls that it computes.
FLAT = 2


@dataclass(frozen=True)
class CacheSchedule:
    """A schedule that cache-dit can follow.

    Attributes:
        mask: flags of the calls that compute all blocks.
        front, tail: blocks that run at the other calls, before and after the cached ones.
        sloped: the added difference is extrapolated by a TaylorSeer calibrator of order 1.
        method: name of the method whose schedule it is; empty if every call computes.
    """

    mask: tuple[bool, ...]
    front: int = 1
    tail: int = 0
    sloped: bool = False
    method: str = ""


def slopes(mask: tuple[bool, ...]) -> tuple[int, ...]:
    """Order of extrapolation at each call with cache-dit's TaylorSeer calibrator of order 1.

    It draws the line through the last two computed calls if the last is call 3 or later; before
    that it repeats the last one.
    """
    found, last = [], 0
    for call, computed in enumerate(mask):
        last = call if computed else last
        found.append(int(not computed and last > FLAT))
    return tuple(found)


def text_is_read(family: str, tail: int) -> bool:
    """Whether text tokens may be read behind the cached blocks.

    cache-dit has a second calibrator for them. It fails on Stable Diffusion 3 without a tail, whose
    last block returns no text.
    """
    return family == "transformer" or (family == "mmdit" and tail > 0)


def block_cache(strategy: Strategy, tool: str) -> CacheSchedule:
    """Schedule of a strategy for a tool that follows cache-dit.

    Raises:
        StrategyError: the tool cannot express some part of the strategy; names it.
    """
    methods = expressible(strategy, tool, "deltacache, or fora that reuses whole calls,")
    knobs = methods.get("deltacache") or methods.get("fora")
    if isinstance(knobs, DeltaCache):
        return _of_deltacache(knobs, tool)
    if isinstance(knobs, FORA):
        # Joint attention leaves nothing to cross-attention.
        parts = tuple(c for c in COMPONENTS if c != "cross" or strategy.family == "dit")
        mask = _of_fora(knobs, parts, tool)
        return CacheSchedule(mask, sloped=_sloped(mask, knobs.order, "fora", tool), method="fora")
    return CacheSchedule((True,) * strategy.calls)


def expressible(strategy: Strategy, tool: str, known: str) -> Mapping[str, Knobs]:
    """The method of a strategy that uses `deltacache`, `fora` or nothing.

    Args:
        strategy: strategy to be written for a tool.
        tool: name of the tool, for errors.
        known: words for the methods that the tool expresses, for errors.

    Raises:
        StrategyError: it uses others or both, or it is of another family; names them.
    """
    methods = strategy.canonical().methods
    taken = f"only {known} on {', '.join(FAMILIES)}"
    others = [f"methods.{name}" for name in methods if name not in ("deltacache", "fora")]
    if others:
        raise refusal(tool, f"{' and '.join(others)}; {taken}")
    if strategy.family not in FAMILIES:
        raise refusal(tool, f"family {strategy.family!r}; {taken}")
    if len(methods) > 1:
        raise refusal(tool, "methods.deltacache and methods.fora together; give one of them")
    return methods


def refusal(tool: str, what: str) -> StrategyError:
    """Error of a tool that cannot express something."""
    return StrategyError(f"{tool} cannot express {what}")


def _of_deltacache(knobs: DeltaCache, tool: str) -> CacheSchedule:
    mask = tuple(depth == "full" for depth in knobs.depth)
    fronts, tails = [], []
    for call, (depth, tail) in enumerate(zip(knobs.depth, knobs.tail, strict=True)):
        if depth == "full":
            continue
        if isinstance(depth, str) or depth < 1:
            raise refusal(
                tool,
                f"deltacache.depth[{call}], which is {json.dumps(depth)}; at least one block runs "
                "at every call there",
            )
        fronts.append((call, depth))
        tails.append((call, tail))
    for name, values in (("depth", fronts), ("tail", tails)):
        for call, value in values:
            first, other = values[0]
            if value != other:
                raise refusal(
                    tool,
                    f"deltacache.{name}[{call}], which is {value} after {name}[{first}] was "
                    f"{other}; it has one number of blocks for all calls",
                )
    sloped = _sloped(mask, knobs.order, "deltacache", tool)
    if not fronts:
        return CacheSchedule(mask)
    return CacheSchedule(mask, fronts[0][1], tails[0][1], sloped, "deltacache")


def _of_fora(knobs: FORA, components: tuple[str, ...], tool: str) -> tuple[bool, ...]:
    mask = []
    for call, first in enumerate(knobs.attn):
        for name in components:
            value = getattr(knobs, name)[call]
            if isinstance(value, tuple):
                raise refusal(
                    tool,
                    f"fora.{name}[{call}], which is {json.dumps(value)}; it reuses all groups of "
                    "blocks or none",
                )
            if value != first:
                hint = " (a DiT has no cross-attention, so there cross may be given what attn is)"
                raise refusal(
                    tool,
                    f"call {call}, where fora.attn is {json.dumps(first)} and fora.{name} "
                    f"{json.dumps(value)}; it reuses all components or none"
                    + (hint if name == "cross" else ""),
                )
        mask.append(first is True)
    return tuple(mask)


def _sloped(mask: tuple[bool, ...], orders: tuple[int, ...], method: str, tool: str) -> bool:
    """Whether the calibrator is needed: no order is above 0, or all are what it does."""
    if not any(orders):
        return False
    last = 0
    for call, does in enumerate(slopes(mask)):
        last = call if mask[call] else last
        if not mask[call] and orders[call] != does:
            raise refusal(
                tool,
                f"{method}.order[{call}], which is {orders[call]} after call {last} was computed; "
                "its TaylorSeer calibrator, needed for orders above 0, does what order "
                f"{does} does",
            )
    return True
