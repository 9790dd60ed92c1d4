"""Crossover and mutation made for schedules.

Genes of one call sit side by side in its slot of time; genes of the whole generation come first.
A call's genes are moved together, because what one method does at a call decides what another is
worth there. All of these are our own, on the moves that reviewed searches name: time segments
(OMS-DPM, Liu et al. 2023), swaps (BudCache, 2026), resets.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence

import numpy as np

from search.initial import method_switching as switching
from strategies import SearchSpace
from strategies.genomes.space import GLOBALS, Genome

Row = list[int]
CROSS = 0.9
SWITCH = 0.2  # Chance that a method is switched on or off.
STEP, JUMP = 0.15, 0.05  # Chances that a global gene goes to a neighbouring choice, or anywhere.


def child(space: SearchSpace, mother: Genome, father: Genome, rng: np.random.Generator) -> Genome:
    """A mutated child of two genomes."""
    row: Sequence[int] = mother
    if rng.random() < CROSS:
        row = segment_crossover(space, mother, father, rng)
    return tuple((mutate_some if space.methods else mutate)(space, row, rng))


def segment_crossover(
    space: SearchSpace, mother: Sequence[int], father: Sequence[int], rng: np.random.Generator
) -> Row:
    """The mother with one span of time from the father, and each global gene from either.

    Slots are shares of the generation, so parents of different step counts exchange the same part
    of it.
    """
    row = list(mother)
    for gene, draw in enumerate(rng.random(space.global_count).tolist()):
        if draw < 0.5:
            row[gene] = father[gene]
    span = _span(space, rng)
    row[span] = father[span]
    return row


def mutate(space: SearchSpace, row: Sequence[int], rng: np.random.Generator) -> Row:
    """Global genes step or jump; then one to three of the moves of `MOVES`."""
    row, sizes = list(row), space.sizes
    for index in range(space.global_count):
        draw = rng.random()
        if draw < STEP:
            row[index] = min(max(row[index] + _either(rng), 0), sizes[index] - 1)
        elif draw < STEP + JUMP:
            row[index] = int(rng.integers(0, sizes[index]))
    if space.genes_per_slot:
        for _ in range(int(rng.integers(1, 4))):
            MOVES[bisect(UP_TO, rng.random())](space, row, rng)
    return row


def mutate_some(space: SearchSpace, row: Sequence[int], rng: np.random.Generator) -> Row:
    """The same in a composed space, where genes of methods that the row does not use stay quiet.

    Now and then, and where it uses none, a method is switched on or off as a whole.
    """
    row, sizes = list(row), space.sizes
    used = switching.used_methods(space, row)
    if not used or rng.random() < SWITCH:
        switching.switch(space, row, used, rng)
        used = switching.used_methods(space, row)
    for index in (*range(GLOBALS), *switching.whole_genes(space, used)):
        draw = rng.random()
        if draw < STEP:
            row[index] = min(max(row[index] + _either(rng), 0), sizes[index] - 1)
        elif draw < STEP + JUMP:
            row[index] = int(rng.integers(0, sizes[index]))
    allowed = switching.choices(space, used)
    if any(len(choices) > 1 for choices in allowed):
        for _ in range(int(rng.integers(1, 4))):
            move = MOVES[bisect(UP_TO, rng.random())]
            if move is reset_gene:
                _reset_one(space, row, allowed, rng)
            elif move is reset_call:
                drawn = [choices[int(rng.integers(0, len(choices)))] for choices in allowed]
                row[_call(space, int(rng.integers(0, space.slots)))] = drawn
            else:
                move(space, row, rng)
    return row


def _reset_one(
    space: SearchSpace, row: Row, allowed: Sequence[Sequence[int]], rng: np.random.Generator
) -> None:
    """Choose another allowed value for one gene of one call, at random."""
    free = [place for place, choices in enumerate(allowed) if len(choices) > 1]
    place = free[int(rng.integers(0, len(free)))]
    gene = space.global_count + int(rng.integers(0, space.slots)) * space.genes_per_slot + place
    others = [choice for choice in allowed[place] if choice != row[gene]]
    row[gene] = others[int(rng.integers(0, len(others)))]


def reset_gene(space: SearchSpace, row: Row, rng: np.random.Generator) -> None:
    """Choose another value for one gene of one call at random, if it has another."""
    gene = space.global_count + int(rng.integers(0, space.slots * space.genes_per_slot))
    size = space.sizes[gene]
    if size > 1:
        row[gene] = (row[gene] + int(rng.integers(1, size))) % size


def reset_call(space: SearchSpace, row: Row, rng: np.random.Generator) -> None:
    """Choose all genes of one call at random, together."""
    drawn = [int(rng.integers(0, len(gene.choices))) for gene in space.call_genes]
    row[_call(space, int(rng.integers(0, space.slots)))] = drawn


def copy_neighbour(space: SearchSpace, row: Row, rng: np.random.Generator) -> None:
    """A call does all that its neighbour does."""
    here, there = _neighbours(space, rng)
    row[here] = row[there]


def swap_neighbours(space: SearchSpace, row: Row, rng: np.random.Generator) -> None:
    """Two neighbouring calls exchange what they do."""
    here, there = _neighbours(space, rng)
    row[here], row[there] = row[there], row[here]


def shift_span(space: SearchSpace, row: Row, rng: np.random.Generator) -> None:
    """A span of time happens one call earlier or later; what it pushes out goes behind it."""
    span = _span(space, rng)
    moved, cut = row[span], -space.genes_per_slot * _either(rng)
    row[span] = moved[cut:] + moved[:cut]


def _call(space: SearchSpace, slot: int) -> slice:
    """Genes of one slot."""
    start = space.global_count + slot * space.genes_per_slot
    return slice(start, start + space.genes_per_slot)


def _span(space: SearchSpace, rng: np.random.Generator) -> slice:
    """Genes of some neighbouring slots."""
    start, stop = sorted(rng.integers(0, space.slots + 1, 2).tolist())
    return slice(
        space.global_count + start * space.genes_per_slot,
        space.global_count + stop * space.genes_per_slot,
    )


def _either(rng: np.random.Generator) -> int:
    """One step back or forth."""
    return 2 * int(rng.integers(0, 2)) - 1


def _neighbours(space: SearchSpace, rng: np.random.Generator) -> tuple[slice, slice]:
    here = int(rng.integers(0, space.slots))
    there = min(max(here + _either(rng), 0), space.slots - 1)
    return _call(space, here), _call(space, there)


MOVES = (reset_gene, reset_call, copy_neighbour, swap_neighbours, shift_span)
UP_TO = (0.4, 0.5, 0.7, 0.9)  # Random number from which on the next move is taken.
