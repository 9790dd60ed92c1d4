"""A strategy as a vector of numbers, of the same length for every number of calls.

What a regressor reads. Calls are laid on normalised time, so that strategies of different step
counts are near each other where they do the same at the same share of the generation.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategies import SearchSpace, Strategy
from strategies.space import Gene

BINS = 12  # Of normalised time.


class Description:
    """What a strategy of one space does, as numbers.

    Args:
        space: of the search; decides the length.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._genes = [_Gene(gene) for gene in space.genes]

    def __call__(self, strategy: Strategy) -> NDArray[np.float32]:
        """The numbers of one strategy, `[d]`.

        Solver (one of them is 1), calls and steps; choices of the whole generation's knobs; and of
        every per-call knob, dead values being neutral: how often each choice is made, and over time
        how often it acts, how strongly, and for how long it has acted without a break; logarithms
        of the calls at which it does nothing, acts, and does so without a break.
        """
        alive = strategy.canonical()
        found: list[float] = [float(solver == strategy.scheduler) for solver in self.space.solvers]
        found += [strategy.calls, 1 / strategy.calls, strategy.steps, np.log(strategy.calls)]
        for gene in self.space.whole:
            knobs = alive.methods.get(gene.method)
            value = None if knobs is None else getattr(knobs, gene.knob)
            found.append(float(value) if isinstance(value, int | float) else -1.0)
        weights = _weights(strategy.calls)
        rows = [gene.describe(alive, weights) for gene in self._genes]
        return np.concatenate([found, *rows]).astype(np.float32)

    def strengths(self, strategy: Strategy) -> NDArray[np.float64]:
        """How strongly each per-call knob acts over time, from 0 to 1: `[genes, BINS]`."""
        alive, weights = strategy.canonical(), _weights(strategy.calls)
        return np.stack([gene.strengths[gene.choices(alive)] for gene in self._genes]) @ weights

    def rows(self, strategies: Iterable[Strategy]) -> NDArray[np.float32]:
        """Of several strategies, `[n, d]`."""
        return np.array([self(one) for one in strategies])


class _Gene:
    """One per-call knob."""

    def __init__(self, gene: Gene) -> None:
        self.method, self.knob = gene.method, gene.knob
        self.places = {_key(choice): index for index, choice in enumerate(gene.choices)}
        self.size = len(gene.choices)
        self.strengths = _strengths(gene)

    def describe(self, strategy: Strategy, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        choices = self.choices(strategy)
        acting = choices > 0
        series = np.stack([acting, self.strengths[choices], _runs(acting)])
        shares = np.bincount(choices, minlength=self.size) / len(choices)
        return np.concatenate([shares, (series @ weights).ravel(), _counts(acting, series[1])])

    def choices(self, strategy: Strategy) -> NDArray[np.intp]:
        """The index of the choice at each call; what the space does not have counts as the last."""
        knobs = strategy.methods.get(self.method)
        if knobs is None:
            return np.zeros(strategy.calls, dtype=np.intp)
        last = self.size - 1
        return np.array([self.places.get(_key(one), last) for one in getattr(knobs, self.knob)])


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


def _counts(acting: NDArray[np.bool_], strengths: NDArray[np.float64]) -> list[float]:
    """Logarithms of numbers of calls: idle, as much as idle, acting, acting without a break at most
    and on average over the calls; the last two also as shares of the generation.
    """
    edges = np.flatnonzero(np.diff([0, *acting.astype(int), 0]))
    spans = edges[1::2] - edges[::2]
    longest, mean = spans.max(initial=0), np.square(spans).sum() / len(acting)
    counts = [(~acting).sum(), (1 - strengths).sum(), acting.sum(), longest, mean]
    return [*np.log1p(counts), longest / len(acting), mean / len(acting)]


@cache
def _weights(calls: int) -> NDArray[np.float64]:
    """What each call counts for in each bin of time, `[calls, BINS]`; columns sum to 1."""
    edges = np.linspace(0, calls, BINS + 1)
    starts = np.arange(calls)[:, None]
    inside = np.minimum(starts + 1, edges[1:]) - np.maximum(starts, edges[:-1])
    shares: NDArray[np.float64] = np.clip(inside, 0, None) * BINS / calls
    return shares
