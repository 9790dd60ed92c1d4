"""The acceleration methods, in the order in which they are attached: a later one wraps the others.

T-GATE therefore decides whether an attention runs before a token method reduces its tokens. Block
Caching decides whether the block around it runs, DeepCache and DeltaCache which part of the
network, guidance which half of the batch, and ParaDiGMS which calls run together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from accel.method import Attach
from accel.methods import (
    atedm,
    blockcache,
    cat,
    catome,
    dato,
    deepcache,
    deltacache,
    fora,
    guidance,
    paradigms,
    tgate,
    toca,
    tome,
)
from strategies import registered_methods
from strategies.plugins import entry_points

METHODS: dict[str, Attach] = {
    "tome": tome.attach,
    "dato": dato.attach,
    "catome": catome.attach,
    "tgate": tgate.attach,
    "blockcache": blockcache.attach,
    "deepcache": deepcache.attach,
    "cat": cat.attach,
    "atedm": atedm.attach,
    "toca": toca.attach,
    "fora": fora.attach,
    "deltacache": deltacache.attach,
    "guidance": guidance.attach,
    "paradigms": paradigms.attach,
}


def in_order(names: Collection[str]) -> Iterator[tuple[str, Attach]]:
    """Methods of a strategy, in the order in which they are attached.

    A method of another package comes first, or directly after the last one that it wraps.

    Raises:
        StrategyError: the behaviour of such a method cannot be imported.
    """
    order = list(METHODS)
    for name in (one for one in registered_methods() if one in names and one not in METHODS):
        places = [
            order.index(inner) + 1 for inner in registered_methods()[name].wraps if inner in order
        ]
        order.insert(max(places, default=0), name)
    for name in (one for one in order if one in names):
        if name in METHODS:
            yield name, METHODS[name]
        else:
            yield (
                name,
                entry_points.load_reference(registered_methods()[name].sampler, f"methods.{name}"),
            )
