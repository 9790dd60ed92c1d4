"""The nearest that a space has to a strategy from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from strategies import SearchSpace, Strategy, StrategyError
from strategies.genomes.encoding import assemble as assemble
from strategies.genomes.space import Gene, OneOf, Shared
from strategies.knobs import Knobs, registered_methods


def nearest_strategy(space: SearchSpace, strategy: Strategy) -> Strategy:
    """The strategy of the space that does most nearly the same.

    Its solver where the space has it, else the space's first; the nearest number of steps by their
    ratio; resampled by normalised time where calls differ; of every knob the nearest choice.
    Methods that the space does not search are left out.
    """
    with suppress(StrategyError):
        return space.decode(space.encode(strategy))  # It may be a point of the space.
    solver = strategy.solver_text
    solver = solver if solver in space.solvers else space.solvers[0]
    steps = min(space.steps, key=lambda n: (abs(np.log(n / strategy.steps)), n))
    calls = space.calls[solver, steps]
    if calls != strategy.calls:
        strategy = strategy.resample(calls=calls, steps=steps)
    if space.shared:
        strategy = strategy.canonical()  # Of what is read at a call, dead values are no part.
    head = [space.solvers.index(solver), space.steps.index(steps)]
    head += [_whole(space, gene, strategy) for gene in space.global_genes]
    rows = [[_per_call(gene, strategy, call) for gene in space.call_genes] for call in range(calls)]
    return space.decode((*head, *assemble(space, rows)))


def _whole(space: SearchSpace, gene: Gene | OneOf, strategy: Strategy) -> int:
    if isinstance(gene, OneOf):
        return next((i for i, name in enumerate(gene.choices) if name in strategy.methods), 0)
    knobs = strategy.methods.get(gene.method)
    if knobs is None:
        return 0
    given = getattr(knobs, gene.knob)
    choices = [space.value(gene, choice, strategy.calls) for choice in gene.choices]
    return nearest_choice(choices, given, None)


def _per_call(gene: Gene | Shared, strategy: Strategy, call: int) -> int:
    if isinstance(gene, Shared):
        return _act(gene, strategy, call)
    knobs = strategy.methods.get(gene.method)
    if knobs is None:
        return 0
    if gene.knob in knobs.call_list_knobs:
        given = knobs.read(call).get(gene.knob, gene.choices[0])
        return gene.choices.index(given) if given in gene.choices else 0
    neutral = registered_methods()[gene.method].neutral.get(gene.knob)
    return nearest_choice(gene.choices, getattr(knobs, gene.knob)[call], neutral)


def _act(gene: Shared, strategy: Strategy, call: int) -> int:
    """The act nearest to what one of the gene's methods does at a call."""
    for method in gene.turned:
        knobs = strategy.methods.get(method)
        if knobs is None or not knobs.at(call):
            continue
        read, marks = knobs.read(call), knobs.call_list_knobs
        acts = {i: row[method] for i, row in enumerate(gene.values) if method in row}

        def far(act: Mapping[str, Any], knobs: Knobs = knobs, read: Any = read) -> float:
            there = [knob for knob in read if knob in act and knob not in knobs.call_list_knobs]
            return sum(_distance(act[k], read[k], knobs.neutral[k]) for k in there)

        alike = [i for i, act in acts.items() if all(act.get(m) == read.get(m) for m in marks)]
        return min(alike or acts, key=lambda i: far(acts[i]))
    return 0


def nearest_choice(choices: Sequence[Any], given: Any, neutral: Any) -> int:
    """The index of the nearest choice, of equally near ones the first.

    Numbers are near by their difference, lists by the entries that differ, a single value being a
    list of itself. The neutral value is only ever itself: a cached call does not become a full one.
    """
    if given in choices:
        return choices.index(given)
    distances = [_distance(choice, given, neutral) for choice in choices]
    return int(np.argmin(distances))


def _distance(choice: Any, given: Any, neutral: Any) -> float:
    if isinstance(choice, list | tuple) or isinstance(given, list | tuple):
        size = max(len(x) for x in (choice, given) if isinstance(x, list | tuple))
        ours, theirs = (
            list(x) if isinstance(x, list | tuple) else [x] * size for x in (choice, given)
        )
        if len(ours) != len(theirs):
            return float("inf")
        return float(sum(a != b for a, b in zip(ours, theirs, strict=True))) / size
    numbers = [isinstance(x, int | float) and not isinstance(x, bool) for x in (choice, given)]
    if all(numbers):
        # Acting a little is nearer to acting strongly than not to act at all.
        return float(abs(choice - given)) + (1e6 if choice == neutral else 0.0)
    return float("inf") if choice != given else 0.0
