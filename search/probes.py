"""Strategies to measure latency by: together they make every kind of call that a space can make."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from strategies import SearchSpace, Strategy

Row = Mapping[str, Any]


def probes(space: SearchSpace, seed: int) -> list[Strategy]:
    """Generations that show every kind of call at least once.

    They have the most calls that the space has. For each way to choose the knobs of a whole
    generation, calls are filled one by one with such per-call choices as have not shown their kind
    yet, in random order.
    """
    solver, steps = max(space.calls, key=lambda pair: space.calls[pair])
    rng = np.random.default_rng(seed)
    found: list[Strategy] = []
    seen: set[str] = set()
    for whole in _wholes(space):
        rows = list(itertools.product(*(range(len(gene.choices)) for gene in space.genes)))
        calls = space.calls[solver, steps]
        alike = [_make(space, solver, steps, whole, [row] * calls).kinds() for row in rows]
        missing = {kind for kinds in alike for kind in kinds} - seen
        while missing:
            order = rng.permutation(len(rows))
            plan, new = [], set(missing)
            for call in range(calls):
                useful = [i for i in order if alike[i][call] in new]
                pick = int(useful[0] if useful else order[call % len(order)])
                plan.append(rows[pick])
                new.discard(alike[pick][call])
            probe = _make(space, solver, steps, whole, plan)
            if not missing & set(probe.kinds()):
                # Neighbours change what these choices mean, so each is shown by itself.
                left = next(i for i in order if missing & set(alike[i]))
                probe = _make(space, solver, steps, whole, [rows[left]] * calls)
            found.append(probe)
            seen |= set(probe.kinds())
            missing -= set(probe.kinds())
    return found


def uniform(space: SearchSpace) -> Iterator[Strategy]:
    """Generations all of whose calls do the same, one for each choice of every knob."""
    solver, steps = max(space.calls, key=lambda pair: space.calls[pair])
    calls = space.calls[solver, steps]
    for whole in _wholes(space):
        for row in itertools.product(*(range(len(gene.choices)) for gene in space.genes)):
            yield _make(space, solver, steps, whole, [row] * calls)


def _wholes(space: SearchSpace) -> Iterator[tuple[int, ...]]:
    yield from itertools.product(*(range(len(gene.choices)) for gene in space.whole))


def _make(
    space: SearchSpace,
    solver: str,
    steps: int,
    whole: tuple[int, ...],
    plan: list[tuple[int, ...]],
) -> Strategy:
    calls = len(plan)
    slots = [plan[min(calls - 1, slot * calls // space.slots)] for slot in range(space.slots)]
    for call in range(calls):
        slots[space.slot(call, calls)] = plan[call]
    first = (space.solvers.index(solver), space.steps.index(steps))
    genome = (*first, *whole, *(value for row in slots for value in row))
    return space.decode(genome)
