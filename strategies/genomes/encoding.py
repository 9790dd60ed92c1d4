"""Encoding of a strategy as a genome."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from strategies import halves
from strategies.errors import StrategyError
from strategies.genomes import choosing
from strategies.genomes.gene_reading import PerCall, Whole
from strategies.genomes.genes import Gene, OneOf, Shared
from strategies.knobs import Knobs
from strategies.strategy import Strategy


class Space(Protocol):
    """Part of a `SearchSpace` that encoding reads."""

    family: str
    solvers: tuple[str, ...]
    steps: tuple[int, ...]
    calls: dict[tuple[str, int], int]
    call_genes: PerCall
    global_genes: Whole
    shared: set[str]
    fixed: dict[str, dict[str, Any]]
    slots: int

    def slot(self, call: int, calls: int) -> int:
        """Slot of time that a call reads."""

    def decode(self, genome: Sequence[int]) -> Strategy:
        """The strategy that a genome means."""


def encode(space: Space, strategy: Strategy) -> tuple[int, ...]:
    """A genome that means `strategy`; unread slots repeat their neighbour's choice.

    Raises:
        StrategyError: the strategy lies outside the space.
    """
    pair = (strategy.solver_text, strategy.steps)
    if pair not in space.calls or space.calls[pair] != strategy.calls:
        raise StrategyError(
            f"{strategy.solver_text} with {strategy.steps} steps is not in this space; it has "
            f"{', '.join(space.solvers)} with {', '.join(map(str, space.steps))} steps"
        )
    first = [space.solvers.index(pair[0]), space.steps.index(pair[1])]
    alive = strategy.canonical().methods
    rows = [
        [_choice(strategy, alive, gene, call) for gene in space.call_genes]
        for call in range(strategy.calls)
    ]
    genome = (*first, *_whole(space, strategy, rows), *assemble(space, rows))
    if space.decode(genome).digest == strategy.digest:
        return genome
    names = ", ".join(gene.name for gene in space.global_genes)
    raise StrategyError(
        "the strategy has knobs that this space does not search or other choices of them"
        + (f" ({names})" if names else "")
    )


def assemble(space: Space, rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Per-call genes of a genome from one row of choices for each call."""
    calls = len(rows)
    slots = [rows[min(calls - 1, slot * calls // space.slots)] for slot in range(space.slots)]
    for call in range(calls):
        slots[space.slot(call, calls)] = rows[call]
    return tuple(value for row in slots for value in row)


def _choice(strategy: Strategy, alive: Mapping[str, Knobs], gene: Gene | Shared, call: int) -> int:
    if isinstance(gene, Shared):
        return _act(alive, gene, call)
    knobs = strategy.methods.get(gene.method)
    if knobs is None:
        value = gene.choices[0]
    elif gene.knob in knobs.call_list_knobs:
        value = knobs.read(call).get(gene.knob, gene.choices[0])
    else:
        value = getattr(knobs, gene.knob)[call]
    if value not in gene.choices:
        raise StrategyError(
            f"{gene.method}.{gene.knob}[{call}] is {value!r}; this space has {gene.choices}"
        )
    return gene.choices.index(value)


def _act(alive: Mapping[str, Knobs], gene: Shared, call: int) -> int:
    """Act of a strategy at a call as an index; 0 if there is none."""
    acting = [name for name in gene.turned if name in alive and alive[name].at(call)]
    for index in range(1, len(gene.choices)) if acting else ():
        if gene.matches(index, alive, call):
            return index
    if acting:
        does = dict(alive[acting[0]].at(call))
        raise StrategyError(
            f"{acting[0]} does {does} at call {call}, which is no choice of this space's gene "
            f"{gene.name}"
        )
    return 0


def _whole(space: Space, strategy: Strategy, rows: Sequence[Sequence[int]]) -> list[int]:
    """First choices of the whole generation's genes that give every method its behaviour; 0 if none
    do.

    A strategy's choices may show only in its behaviour.
    """
    alive, depths = strategy.canonical().methods, strategy.depths
    found, places = [0] * len(space.global_genes), dict[str, list[int]]()
    for place, gene in enumerate(space.global_genes):
        if isinstance(gene, OneOf):
            found[place] = next((i for i, n in enumerate(gene.choices) if n in alive), 0)
        else:
            places.setdefault(gene.method, []).append(place)
    for method, mine in places.items():
        genes = [
            gene for gene in space.global_genes if isinstance(gene, Gene) and gene.method == method
        ]
        if method in space.shared and method not in alive:
            continue
        lists = _lists(space, method, rows)
        for choice in itertools.product(*(range(len(gene.choices)) for gene in genes)):
            whole = {
                gene.knob: choosing.gene_value(gene, gene.choices[index], strategy.calls)
                for gene, index in zip(genes, choice, strict=True)
            }
            knobs = {method: {**space.fixed.get(method, {}), **lists, **whole}}
            made = Strategy.create(
                family=space.family, scheduler="-", steps=1, calls=strategy.calls, methods=knobs
            ).methods[method]
            normal = halves.settled_one(made, alive, strategy.calls)
            normal = normal.canonical(strategy.calls, depths)
            if normal == alive.get(method) or (method not in alive and normal.is_neutral()):
                for place, index in zip(mine, choice, strict=True):
                    found[place] = index
                break
    return found


def _lists(space: Space, method: str, rows: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Per-call knobs of one method."""
    found: dict[str, Any] = {}
    for gene, chosen in zip(space.call_genes, zip(*rows, strict=True), strict=True):
        if isinstance(gene, Shared):
            found |= dict(choosing.acting(gene, chosen)).get(method, {})
        elif gene.method == method:
            found[gene.knob] = choosing.gene_values(gene, [gene.choices[index] for index in chosen])
    return found
