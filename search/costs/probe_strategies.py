"""Strategies whose calls are measured for the latency table.

Together they make every kind of call that a space can make; of a composed space, the kinds of the
plan in `search.costs.call_kinds`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import inf

import numpy as np

from search.costs import call_kinds as wanted
from search.costs.call_kinds import Row, Want
from strategies import SearchSpace, Strategy


def probes(space: SearchSpace, seed: int) -> list[Strategy]:
    """Strategies that show every kind of call at least once.

    They have the most calls that the space has. For each choice of the whole generation's knobs,
    calls are filled one by one with per-call choices that have not shown their kind yet, in random
    order. A composed space shows only the kinds of its plan. Methods whose calls are of no kind
    are left out.
    """
    space = _tabulated(space)
    if space.methods:
        return list(_planned(space, np.random.default_rng(seed)))
    solver, steps = max(space.calls, key=lambda pair: space.calls[pair])
    rng = np.random.default_rng(seed)
    found: list[Strategy] = []
    seen: set[str] = set()
    rows, calls = _rows(space), space.calls[solver, steps]
    for whole, alike in _kinds_of_rows(space):
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


@lru_cache(maxsize=4)
def _kinds_of_rows(space: SearchSpace) -> list[tuple[Row, list[tuple[str, ...]]]]:
    """Kinds of all calls if they all do the same, by choice of the whole generation's knobs.

    The second part of each entry has the kinds of every row of `_rows`.
    """
    solver, steps = max(space.calls, key=lambda pair: space.calls[pair])
    calls = space.calls[solver, steps]
    return [
        (whole, [_make(space, solver, steps, whole, [row] * calls).kinds() for row in _rows(space)])
        for whole in wanted.whole_rows(space, inf)
    ]


def _rows(space: SearchSpace) -> list[Row]:
    """Every combination of the per-call choices that decide the cost of a call."""
    some = [1 if wanted.is_free(gene) else len(gene.choices) for gene in space.call_genes]
    return list(itertools.product(*map(range, some)))


@lru_cache(maxsize=4)
def _tabulated(space: SearchSpace) -> SearchSpace:
    """The part of a space that a latency table can have; the same object each time."""
    return space.tabulated()


def uniform(space: SearchSpace) -> Iterator[Strategy]:
    """Strategies whose calls all do the same, one for each choice of every knob.

    A composed space has only those of its plan.
    """
    space = _tabulated(space)
    if space.methods:
        yield from (_alone(space, want) for want in wanted.plan(space).wants)
        return
    solver, steps = max(space.calls, key=lambda pair: space.calls[pair])
    calls = space.calls[solver, steps]
    for whole in wanted.whole_rows(space, inf):
        for row in _rows(space):
            yield _make(space, solver, steps, whole, [row] * calls)


def _planned(space: SearchSpace, rng: np.random.Generator) -> Iterator[Strategy]:
    """Strategies whose calls show the kinds of a plan one by one, in random order."""
    plan = wanted.plan(space)
    left = [plan.wants[index] for index in rng.permutation(len(plan.wants))]
    while left:
        probe = max(_fillings(space, left, rng), key=lambda one: _shows(one, left))
        if not _shows(probe, left):
            probe = _alone(space, left[0])  # Neighbours change what its choices mean.
            left = left[1:]
        yield probe
        kinds = set(probe.kinds())
        left = [want for want in left if want.kind not in kinds]


def _shows(probe: Strategy, left: Sequence[Want]) -> int:
    kinds = set(probe.kinds())
    return sum(want.kind in kinds for want in left)


def _fillings(
    space: SearchSpace, left: Sequence[Want], rng: np.random.Generator
) -> Iterator[Strategy]:
    """A strategy for each choice of the whole generation's knobs, filled with what is left."""
    plan = wanted.plan(space)
    names = {want.one for want in left}
    for whole, patterns in zip(plan.wholes, plan.patterns, strict=True):
        for one in names - {""} or {""}:
            fits = [want for want in plan.wants if want.one in ("", one)]
            waiting = [want for want in left if want.one in ("", one)]
            rows: list[Row] = [(0,) * space.genes_per_slot]
            while len(rows) < len(patterns):
                want = _next(waiting, patterns, len(rows))
                if want is None:  # All are shown that can be: some once more.
                    again = [w for w in fits if w.lead is None and w.pattern == patterns[len(rows)]]
                    rows.append(again[int(rng.integers(0, len(again)))].row if again else rows[0])
                    continue
                waiting.remove(want)
                rows += [want.row] if want.lead is None else [want.lead, want.row]
            yield wanted.made(space, whole, one, rows)


def _next(waiting: Sequence[Want], patterns: Sequence[str], call: int) -> Want | None:
    """First kind that can be shown at a call, or with its lead from there on."""
    for want in waiting:
        place = call if want.lead is None else call + 1
        if place < len(patterns) and patterns[place] == want.pattern:
            return want
    return None


def _alone(space: SearchSpace, want: Want) -> Strategy:
    """A strategy that does only what a kind wants, at every call where it can."""
    plan = wanted.plan(space)
    index = next(i for i, row in enumerate(plan.patterns) if want.pattern in row[2:])
    rows: list[Row] = []
    for call, pattern in enumerate(plan.patterns[index]):
        lead = call % 2 and want.lead is not None
        rows.append(want.lead or want.row if lead else want.row)
        if pattern != want.pattern and not lead:
            rows[-1] = (0,) * space.genes_per_slot
    return wanted.made(space, plan.wholes[index], want.one, rows)


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
