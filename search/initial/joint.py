"""Initial strategies that save in all ways together, from a very fast one to a mild one.

Good strategies take fewer steps, reuse between calls and leave guidance out, all at once. A search
that begins with one method at a time has to find this. These strategies have the model's own
solver. The fastest has the fewest steps and computes its first call alone. With more steps it
computes every third call, and then every second. The faster half is there without guidance as
well. That is the idea of searching a mild and an extreme schedule and filling the space between
them by interpolation, with rules instead of a search.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from search.initial.uniform import (
    cached_depths,
    call_choices,
    deltacache_knobs,
    fora_knobs,
    uniform_depths,
)
from strategies import SearchSpace, Strategy

JOINT = "joint"


def joint_strategies(space: SearchSpace, scheduler: str, steps: int) -> Iterator[Strategy]:
    """Strategies with few steps, a cache and no guidance together, the fastest first.

    Args:
        space: space of the search; without a cache in it there are none.
        scheduler, steps: solver and steps of the unaccelerated pipeline.
    """
    counts = sorted(n for n in space.steps if n <= steps and (scheduler, n) in space.calls)
    unguided = "off" in call_choices(space, "guidance", "mode")
    for place, count in enumerate(counts):
        calls = space.calls[scheduler, count]
        interval = calls if place == 0 else 3 if place == 1 else 2
        cache = _cache(space, calls, interval)
        if not cache:
            return
        yield space.uniform(scheduler, count, **cache)
        if unguided and 2 * place < len(counts):
            off = ("off",) * calls
            yield space.uniform(scheduler, count, guidance_mode=off, **cache)


def _cache(space: SearchSpace, calls: int, interval: int) -> dict[str, Any]:
    """Knobs of the space's cache that computes every `interval`-th call and reuses most between."""
    if depths := cached_depths(space):
        return {"deepcache_depth": uniform_depths(interval, calls, depths[0])}
    return deltacache_knobs(space, calls, interval) or fora_knobs(space, calls, interval)
