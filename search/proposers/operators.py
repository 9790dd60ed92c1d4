"""Crossover and mutation made for schedules.

Genes of one call sit side by side in its slot of time; genes of the whole generation come first.
A call's genes are moved together, because what one method does at a call decides what another is
worth there. All of these are our own, on the moves that reviewed searches name: time segments
(OMS-DPM, Liu et al. 2023), swaps (BudCache, 2026), resets.
"""

from __future__ import annotations

from bisect import bisect

import numpy as np
from numpy.typing import NDArray

from strategies import SearchSpace
from strategies.space import Genome

Row = NDArray[np.int64]
CROSS = 0.9
STEP, JUMP = 0.15, 0.05  # Chances that a global gene goes to a neighbouring choice, or anywhere.


def child(space: SearchSpace, mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
    """A mutated child of two genomes."""
    row = np.array(mother, dtype=np.int64)
    if rng.random() < CROSS:
        row = segment_crossover(space, row, np.array(father, dtype=np.int64), rng)
    return to_genome(mutate(space, row, rng))


def segment_crossover(
    space: SearchSpace, mother: Row, father: Row, rng: np.random.Generator
) -> Row:
    """The mother with one span of time from the father, and each global gene from either.

    Slots are shares of the generation, so parents of different step counts exchange the same part
    of it.
    """
    row = mother.copy()
    swap = np.zeros(len(row), dtype=bool)
    swap[: space.head] = rng.random(space.head) < 0.5
    start, stop = np.sort(rng.integers(0, space.slots + 1, 2))
    swap[space.head + start * space.width : space.head + stop * space.width] = True
    row[swap] = father[swap]
    return row


def mutate(space: SearchSpace, row: Row, rng: np.random.Generator) -> Row:
    """Global genes step or jump; then one to three of the moves of `MOVES`."""
    row = row.copy()
    sizes = space.sizes
    for index in range(space.head):
        draw = rng.random()
        if draw < STEP:
            row[index] = min(max(row[index] + _either(rng), 0), sizes[index] - 1)
        elif draw < STEP + JUMP:
            row[index] = rng.integers(0, sizes[index])
    if space.width:
        for _ in range(int(rng.integers(1, 4))):
            MOVES[bisect(UP_TO, rng.random())](space, row, rng)
    return row


def reset_gene(space: SearchSpace, row: Row, rng: np.random.Generator) -> None:
    """One gene of one call is drawn anew, and is another than before where it can be."""
    gene = space.head + int(rng.integers(0, space.slots * space.width))
    size = space.sizes[gene]
    if size > 1:
        row[gene] = (row[gene] + rng.integers(1, size)) % size


def reset_call(space: SearchSpace, row: Row, rng: np.random.Generator) -> None:
    """All genes of one call are drawn anew together."""
    slots = _slots(space, row)
    slots[int(rng.integers(0, space.slots))] = [
        rng.integers(0, len(gene.choices)) for gene in space.genes
    ]


def copy_neighbour(space: SearchSpace, row: Row, rng: np.random.Generator) -> None:
    """A call does all that its neighbour does."""
    slots = _slots(space, row)
    here, there = _neighbours(space, rng)
    slots[here] = slots[there]


def swap_neighbours(space: SearchSpace, row: Row, rng: np.random.Generator) -> None:
    """Two neighbouring calls exchange what they do."""
    slots = _slots(space, row)
    here, there = _neighbours(space, rng)
    slots[[here, there]] = slots[[there, here]]


def shift_span(space: SearchSpace, row: Row, rng: np.random.Generator) -> None:
    """A span of time happens one call earlier or later; what it pushes out goes behind it."""
    slots = _slots(space, row)
    start, stop = np.sort(rng.integers(0, space.slots + 1, 2))
    slots[start:stop] = np.roll(slots[start:stop], _either(rng), axis=0)


def _slots(space: SearchSpace, row: Row) -> NDArray[np.int64]:
    """The per-call genes, a view `[slots, width]`."""
    return row[space.head :].reshape(space.slots, space.width)


def _either(rng: np.random.Generator) -> int:
    """One step back or forth."""
    return 2 * int(rng.integers(0, 2)) - 1


def _neighbours(space: SearchSpace, rng: np.random.Generator) -> tuple[int, int]:
    here = int(rng.integers(0, space.slots))
    return here, min(max(here + _either(rng), 0), space.slots - 1)


def to_genome(row: Row) -> Genome:
    """A row as plain integers."""
    return tuple(row.tolist())


MOVES = (reset_gene, reset_call, copy_neighbour, swap_neighbours, shift_span)
UP_TO = (0.4, 0.5, 0.7, 0.9)  # Where the next of these begins to be drawn.
