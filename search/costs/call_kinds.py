"""Kinds of calls of a composed space that are measured.

Every method is measured by itself, and methods are measured in pairs. In a pair, a method whose
acts differ only in strength (`Knobs.graded`) is represented by its strongest act, and any other
method by all of its acts. The cost of any other kind is a sum of these effects
(`evaluate.speed.call_kinds`).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from strategies import SearchSpace, Strategy, registered_methods
from strategies.genomes.encoding import assemble
from strategies.genomes.space import Gene, OneOf, Shared

Row = tuple[int, ...]
WHOLES = 600  # Ways to choose the knobs of a whole generation that are looked at together.


@dataclass(frozen=True)
class Want:
    """One kind of call, and how to show it.

    Attributes:
        row: choices of the per-call genes.
        lead: row of the call before, if the kind depends on it.
        one: method that a `OneOf` gene has to name, if any.
        pattern: acts that knobs of the whole generation allow at the call, as a kind.
        kind: name of the kind of call.
    """

    row: Row
    lead: Row | None = None
    one: str = ""
    pattern: str = ""
    kind: str = ""


@dataclass(frozen=True)
class CallKindPlan:
    """Kinds of calls to measure.

    Attributes:
        wants: the kinds, in no order.
        wholes: choices of the whole generation's knobs that together show every pattern.
        patterns: patterns of all calls, for each of these choices.
    """

    wants: tuple[Want, ...]
    wholes: tuple[Row, ...]
    patterns: tuple[tuple[str, ...], ...]


def made(space: SearchSpace, whole: Sequence[int], one: str, rows: Sequence[Row]) -> Strategy:
    """The longest generation with these choices, `one` being the method that a `OneOf` names."""
    solver, steps = max(space.calls, key=lambda pair: space.calls[pair])
    chosen = [
        gene.choices.index(one) if isinstance(gene, OneOf) and one in gene.choices else index
        for gene, index in zip(space.global_genes, whole, strict=True)
    ]
    first = (space.solvers.index(solver), space.steps.index(steps))
    return space.decode((*first, *chosen, *assemble(space, rows)))


@lru_cache(maxsize=4)
def plan(space: SearchSpace) -> CallKindPlan:
    """Plan of the measurement of a composed space."""
    calls = max(space.calls.values())
    wholes, patterns = _wholes(space, calls)
    found: dict[str, Want] = {}
    for want in _wants(space, tuple(dict.fromkeys(p for row in patterns for p in row))):
        for whole, row in zip(wholes, patterns, strict=True):
            places = [call for call in range(2, calls) if row[call] == want.pattern]
            if places:
                rows: list[Row] = [(0,) * space.genes_per_slot] * calls
                rows[places[-1]] = want.row
                rows[places[-1] - 1] = want.lead or rows[0]
                kind = made(space, whole, want.one, rows).kinds()[places[-1]]
                found.setdefault(kind, replace(want, kind=kind))
                break
    return CallKindPlan(tuple(found.values()), wholes, patterns)


def _wants(space: SearchSpace, patterns: Sequence[str]) -> Iterator[Want]:
    """Everything by itself, and in pairs; the same kind may come more than once."""
    acts = list(_acts(space))
    strongest = [_strongest(space, rows) for rows in acts]
    for pattern in patterns:
        yield Want((0,) * space.genes_per_slot, pattern=pattern)
        for rows, strong in zip(acts, strongest, strict=True):
            for want in rows if pattern == "" else strong:
                yield replace(want, pattern=pattern)
    for some, others in itertools.combinations(strongest, 2):
        for one, other in itertools.product(some, others):
            row = tuple(map(max, one.row, other.row))
            yield Want(row, one.lead or other.lead, one.one or other.one)


def _acts(space: SearchSpace) -> Iterator[list[Want]]:
    """Acts of the per-call genes: of every method with its own genes, and of every shared gene."""
    plain = [gene for gene in space.call_genes if isinstance(gene, Gene)]
    for method in dict.fromkeys(gene.method for gene in plain):
        costless = registered_methods()[method].free_knobs
        free = [
            range(len(gene.choices))
            if isinstance(gene, Gene) and gene.method == method and gene.knob not in costless
            else (0,)
            for gene in space.call_genes
        ]
        # What single blocks reuse is fresh only after a call that ran them all.
        lead = (0,) * space.genes_per_slot if registered_methods()[method].graded else None
        yield [Want(row, lead) for row in itertools.product(*free) if any(row)]
    for place, gene in enumerate(space.call_genes):
        if isinstance(gene, Shared):
            yield list(_shared(space, place, gene))


def _shared(space: SearchSpace, place: int, gene: Shared) -> Iterator[Want]:
    """Acts of a shared gene.

    An act that continues the result of an earlier call comes after each act that makes a result.
    """

    def row(index: int) -> Row:
        return tuple(index if i == place else 0 for i in range(space.genes_per_slot))

    exclusive = {
        name for one in space.global_genes if isinstance(one, OneOf) for name in one.choices
    }
    for index, values in enumerate(gene.values):
        for method, knobs in values.items():
            one = method if method in exclusive else ""
            yield Want(row(index), one=one)
            for mark in registered_methods()[method].call_list_knobs:
                if knobs.get(mark) is False:
                    for before, other in enumerate(gene.values):
                        if other.get(method, {}).get(mark):
                            yield Want(row(index), row(before), one)


def _strongest(space: SearchSpace, rows: Sequence[Want]) -> Sequence[Want]:
    """Acts that represent a method in pairs.

    These are all its acts or, if they differ in strength only, the last one. If a strategy has one
    of several methods, they are the last act of each.
    """
    gene = next(gene for gene, index in zip(space.call_genes, rows[0].row, strict=True) if index)
    method = gene.methods(max(rows[0].row))[0]
    if not registered_methods()[method].graded:
        return rows
    if isinstance(gene, Gene):
        return rows[-1:]
    last = {want.one: want for want in rows if want.lead is None}
    if "" not in last:
        return list(last.values())
    mine = [i for i, values in enumerate(gene.values) if method in values]
    return [want for want in rows if max(want.row) == mine[-1] and want.lead is None][:1]


def _wholes(space: SearchSpace, calls: int) -> tuple[tuple[Row, ...], tuple[tuple[str, ...], ...]]:
    """Choices of the whole generation's knobs, with the pattern of every call.

    They are the first choice of each knob and, for every other pattern, the choices that show it at
    the most calls.
    """
    nothing: list[Row] = [(0,) * space.genes_per_slot] * calls
    rows = whole_rows(space, WHOLES)
    shown = {row: made(space, row, "", nothing).kinds() for row in rows}
    counts = {row: Counter(kinds[2:]) for row, kinds in shown.items()}
    patterns = dict.fromkeys(kind for count in counts.values() for kind in count)
    best = [max(rows, key=lambda row: counts[row][pattern]) for pattern in patterns if pattern]
    chosen = tuple(dict.fromkeys([rows[0], *best]))
    return chosen, tuple(shown[row] for row in chosen)


def is_free(gene: object) -> bool:
    """Whether the choice of a gene leaves the cost of every call as it is."""
    return isinstance(gene, Gene) and gene.knob in registered_methods()[gene.method].free_knobs


def whole_rows(space: SearchSpace, limit: float) -> list[Row]:
    """Choices of the whole generation's knobs that decide the cost of calls.

    Args:
        space: space of the search.
        limit: number of choices up to which methods are combined. If there are more, those of each
            method are combined with the first choice of all others.
    """
    sizes: dict[str, list[int]] = {}
    for place, gene in enumerate(space.global_genes):
        if isinstance(gene, Gene) and not is_free(gene):
            sizes.setdefault(gene.method, []).append(place)
    free = [set(places) for places in sizes.values()]
    together = set().union(*free)
    if prod(len(space.global_genes[place].choices) for place in together) <= limit:
        free = [together]
    rows = {
        row: None
        for some in free
        for row in itertools.product(
            *(
                range(len(gene.choices) if place in some else 1)
                for place, gene in enumerate(space.global_genes)
            )
        )
    }
    return list(rows) or [(0,) * len(space.global_genes)]
