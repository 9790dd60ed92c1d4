"""A strategy as a vector of numbers, of the same length for every number of calls.

What a regressor reads. Calls are laid on normalised time, so that strategies of different step
counts are near each other where they do the same at the same share of the generation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies import SearchSpace, Strategy
from strategies.space import Gene

BINS = 12  # Of normalised time.


def describe(space: SearchSpace, strategy: Strategy) -> NDArray[np.float32]:
    """What a strategy does, `[d]`.

    Solver (one of them is 1), calls and steps; choices of the whole generation's knobs; and of
    every per-call knob, dead values being neutral: how often each choice is made, and over time
    how often it acts, how strongly, and for how long it has acted without a break.

    Args:
        space: of the search; decides the length.
        strategy: of the space.
    """
    alive = strategy.canonical()
    found: list[float] = [float(solver == strategy.scheduler) for solver in space.solvers]
    found += [strategy.calls, 1 / strategy.calls, strategy.steps]
    for gene in space.whole:
        knobs = alive.methods.get(gene.method)
        value = None if knobs is None else getattr(knobs, gene.knob)
        found.append(float(value) if isinstance(value, int | float) else -1.0)
    rows = [_per_call(gene, alive) for gene in space.genes]
    return np.array([*found, *(x for row in rows for x in row)], dtype=np.float32)


def strength(gene: Gene, strategy: Strategy) -> NDArray[np.float64]:
    """How strongly a per-call knob acts over normalised time, from 0 to 1: `[BINS]`.

    Args:
        strategy: canonical.
    """
    return _bins(_strengths(gene)[_choices(gene, strategy)])


def _per_call(gene: Gene, strategy: Strategy) -> NDArray[np.float64]:
    choices = np.array(_choices(gene, strategy))
    shares = np.bincount(choices, minlength=len(gene.choices)) / len(choices)
    acting = choices > 0
    strength = _strengths(gene)[choices]
    return np.concatenate([shares, *(_bins(x) for x in (acting, strength, _runs(acting)))])


def _choices(gene: Gene, strategy: Strategy) -> list[int]:
    """The index of the choice at each call; what the space does not have counts as the last."""
    knobs = strategy.methods.get(gene.method)
    if knobs is None:
        return [0] * strategy.calls
    places = {_key(choice): index for index, choice in enumerate(gene.choices)}
    last = len(gene.choices) - 1
    return [places.get(_key(value), last) for value in getattr(knobs, gene.knob)]


def _key(value: Any) -> Any:
    """Equal for equal choices; True is not 1 here."""
    return (type(value) is bool, tuple(value) if isinstance(value, list) else value)


def _strengths(gene: Gene) -> NDArray[np.float64]:
    """How strongly each choice acts: numbers by their rank, others by their place; neutral is 0."""
    others = gene.choices[1:]
    numbers = sorted(c for c in others if isinstance(c, int | float) and not isinstance(c, bool))
    order = {value: rank for rank, value in enumerate(numbers, 1)}
    rest = [order.get(choice, place) for place, choice in enumerate(others, 1)]
    return np.array([0.0, *rest]) / max(1, len(gene.choices) - 1)


def _runs(acting: NDArray[np.bool_]) -> NDArray[np.float64]:
    """At each call the share of the generation since the knob last did nothing."""
    calls = np.arange(len(acting))
    last = np.maximum.accumulate(np.where(acting, -1, calls))
    return (calls - last) / len(acting)


def _bins(values: NDArray[Any]) -> NDArray[np.float64]:
    """The mean over each bin of normalised time, of calls by the share of them that is in it."""
    calls = len(values)
    total = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
    edges = np.linspace(0, calls, BINS + 1)
    at = np.interp(edges, np.arange(calls + 1), total)
    found: NDArray[np.float64] = np.diff(at) * BINS / calls
    return found
