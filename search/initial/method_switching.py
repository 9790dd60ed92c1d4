"""Methods of a composed space as a whole: those that a genome uses, and switching them on and off.

A space of many methods has many genes, and a good strategy uses few of the methods. So sampled and
bred genomes use few methods, and only the genes of these change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np

from strategies import SearchSpace, registered_methods
from strategies.genomes.space import GLOBALS, Gene, Genome, OneOf, Shared

Row = list[int]
MAX_METHODS = 3  # Methods of a random genome, at most.
FRESH = 0.25  # Share of its calls that are chosen one by one.


def used_methods(space: SearchSpace, row: Sequence[int]) -> set[str]:
    """Methods that a genome uses, also in slots that its calls do not read.

    With more steps its calls read them.
    """
    slots = np.asarray(row[space.global_count :], dtype=np.intp).reshape(
        space.slots, space.genes_per_slot
    )
    found = {
        method
        for place, gene in enumerate(space.call_genes)
        if not _costless(gene)
        for choice in set(slots[:, place].tolist())
        for method in gene.methods(choice)
    }
    per_call = set(_places(space))
    for place, one in enumerate(space.global_genes, GLOBALS):
        if isinstance(one, OneOf):
            found -= {name for index, name in enumerate(one.choices) if index != row[place]}
        elif one.method not in per_call and row[place]:
            found.add(one.method)
    return found


def whole_genes(space: SearchSpace, methods: Collection[str]) -> list[int]:
    """Positions of these methods' genes of the whole generation.

    Genes that choose one of several methods are left to `switch`.
    """
    return [
        place
        for place, gene in enumerate(space.global_genes, GLOBALS)
        if isinstance(gene, Gene) and gene.method in methods
    ]


def choices(space: SearchSpace, methods: Collection[str]) -> list[list[int]]:
    """Choices of every per-call gene by which only these methods act, or none."""
    return [
        [0, *(i for i in range(1, len(gene.choices)) if set(gene.methods(i)) & set(methods))]
        for gene in space.call_genes
    ]


def switch(
    space: SearchSpace, row: Row, present: Collection[str], rng: np.random.Generator
) -> None:
    """Switch one method off if the row uses it, else on."""
    method = space.methods[int(rng.integers(0, len(space.methods)))]
    if method in present:
        switch_off(space, row, method)
    else:
        switch_on(space, row, method, rng)


def switch_off(space: SearchSpace, row: Row, method: str) -> None:
    """Switch a method off: all its genes do nothing."""
    for place in whole_genes(space, [method]):
        row[place] = 0
    for place, indices in _places(space).get(method, {}).items():
        here = slice(space.global_count + place, None, space.genes_per_slot)
        row[here] = [0 if value in indices else value for value in row[here]]


def switch_on(space: SearchSpace, row: Row, method: str, rng: np.random.Generator) -> None:
    """Switch a method on over a span of time, or over all of it.

    It acts at all calls, or at all but every n-th, as caches are refreshed. Its genes of the whole
    generation are chosen at random.
    """
    mine = whole_genes(space, [method])
    for place in mine:
        row[place] = int(rng.integers(0, space.sizes[place]))
    for place, gene in enumerate(space.global_genes, GLOBALS):
        if isinstance(gene, OneOf) and method in gene.choices:
            row[place] = gene.choices.index(method)
    places = _places(space).get(method, {})
    if not places:
        if mine and not any(row[place] for place in mine):
            place = mine[int(rng.integers(0, len(mine)))]
            row[place] = int(rng.integers(1, space.sizes[place]))
        return
    act, other = (_draw(space, places, rng) for _ in range(2))
    shared = method in space.shared
    if not shared or rng.random() < 0.5:
        every, rest = int(rng.integers(2, 6)), other if shared else dict.fromkeys(places, 0)
    else:
        every, rest = space.slots + 1, act
    start, stop = sorted(rng.integers(0, space.slots + 1, 2).tolist())
    if rng.random() < 0.5 or stop - start < 2:
        start, stop = 0, space.slots
    for slot in range(start, stop):
        chosen = rest if (slot - start) % every == 0 else act
        for place, index in chosen.items():
            row[space.global_count + slot * space.genes_per_slot + place] = index


def _draw(
    space: SearchSpace, places: dict[int, list[int]], rng: np.random.Generator
) -> dict[int, int]:
    """Random choice of every gene of a method, by which it does something."""
    found = {p: int(rng.choice([0, *indices])) for p, indices in places.items()}
    acting = [place for place in places if not _costless(space.call_genes[place])]
    if not any(found[place] for place in acting):
        place = acting[int(rng.integers(0, len(acting)))]
        found[place] = int(rng.choice(places[place]))
    return found


def _costless(gene: Gene | Shared) -> bool:
    """Whether a gene only says how something is done, not whether it is."""
    return isinstance(gene, Gene) and gene.knob in registered_methods()[gene.method].free_knobs


def drawn(space: SearchSpace, rng: np.random.Generator) -> Genome:
    """A random genome that uses one to three methods, with equal probability."""
    row = [0] * len(space.sizes)
    for place in range(GLOBALS):
        row[place] = int(rng.integers(0, space.sizes[place]))
    count = int(rng.integers(1, min(MAX_METHODS, len(space.methods)) + 1))
    for index in rng.permutation(len(space.methods))[:count]:
        switch_on(space, row, space.methods[int(index)], rng)
    allowed = choices(space, used_methods(space, row))
    for slot in np.flatnonzero(rng.random(space.slots) < FRESH):
        start = space.global_count + int(slot) * space.genes_per_slot
        row[start : start + space.genes_per_slot] = [int(rng.choice(one)) for one in allowed]
    return tuple(row)


@lru_cache(maxsize=16)
def _places(space: SearchSpace) -> dict[str, dict[int, list[int]]]:
    """Choices by which a method acts, by method and position of a per-call gene."""
    found: dict[str, dict[int, list[int]]] = {}
    for place, gene in enumerate(space.call_genes):
        for index in range(1, len(gene.choices)):
            for method in gene.methods(index):
                found.setdefault(method, {}).setdefault(place, []).append(index)
    return found
