"""All strategies of a small space, such as that of a model with a few steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from strategies.genomes.space import GLOBALS, Genome, SearchSpace
from strategies.strategy import Strategy

MAX_MEMBERS = 2000  # Strategies of a small space.
GENOMES = 20_000  # Genomes that are decoded to find them; several may mean one strategy.


def members(space: SearchSpace, most: int = MAX_MEMBERS) -> list[tuple[Genome, Strategy]] | None:
    """Every strategy of a space once, with a genome of it, in a fixed order.

    Args:
        space: space to enumerate.
        most: largest number of strategies.

    Returns:
        None if the space has more, or more genomes than can be looked at.
    """
    heads = prod(space.sizes[GLOBALS : space.global_count])
    each = prod(len(gene.choices) for gene in space.call_genes)
    if sum(heads * each ** space.calls[pair] for pair in _pairs(space)) > GENOMES:
        return None
    found: dict[str, tuple[Genome, Strategy]] = {}
    for genome in _genomes(space):
        strategy = space.decode(genome)
        found.setdefault(strategy.digest, (genome, strategy))
        if len(found) > most:
            return None
    return list(found.values())


def _pairs(space: SearchSpace) -> list[tuple[str, int]]:
    return [(solver, steps) for solver in space.solvers for steps in space.steps]


def _genomes(space: SearchSpace) -> Iterator[Genome]:
    """One genome for each combination of choices that strategies read; unread slots are 0."""
    row = [range(len(gene.choices)) for gene in space.call_genes]
    whole = [range(size) for size in space.sizes[GLOBALS : space.global_count]]
    for at, solver in enumerate(space.solvers):
        for index, steps in enumerate(space.steps):
            calls = space.calls[solver, steps]
            slots = [
                space.global_count + space.slot(call, calls) * space.genes_per_slot
                for call in range(calls)
            ]
            for head in product(*whole):
                for values in product(*row * calls):
                    genome = [at, index, *head, *[0] * (space.slots * space.genes_per_slot)]
                    for call, start in enumerate(slots):
                        own = values[
                            call * space.genes_per_slot : (call + 1) * space.genes_per_slot
                        ]
                        genome[start : start + space.genes_per_slot] = own
                    yield tuple(genome)
