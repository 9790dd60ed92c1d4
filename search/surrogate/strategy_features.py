"""A strategy as a vector of numbers, of the same length for every number of calls.

What a regressor reads. Calls are laid on normalised time, so that strategies of different step
counts are near each other where they do the same at the same share of the generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import log

import numpy as np
from numpy.typing import NDArray

from search.surrogate.knob_choices import knob_choices
from strategies import SearchSpace, Strategy
from strategies.genomes.space import OneOf

BINS = 12  # Bins of normalised time.
COUNTS = 7  # Further features of each knob, apart from those over time.


class StrategyFeatures:
    """Numbers that describe the strategies of one space.

    Args:
        space: space of the search; it decides how many numbers there are.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.knobs = knob_choices(space)
        sizes = [len(knob.strengths) for knob in self.knobs]
        self._first = np.cumsum([0, *sizes])[:-1, None].astype(np.intp)  # Choice of each knob.
        self._choices = sum(sizes)
        self._strengths = np.concatenate([np.empty(0), *(knob.strengths for knob in self.knobs)])
        whole = len(space.solvers) + 4 + len(space.global_genes)
        self._length = whole + self._choices + (3 * BINS + COUNTS) * len(sizes)

    def __call__(self, strategy: Strategy) -> NDArray[np.float32]:
        """The numbers of one strategy, `[d]`, as `many` has them."""
        found: NDArray[np.float32] = self.many([strategy])[0]
        return found

    def many(self, strategies: Sequence[Strategy]) -> NDArray[np.float32]:
        """Features of some strategies, `[n, d]`.

        Features of the whole generation: the solver (one of them is 1), calls, steps, and the
        choices of its knobs. Features of every knob (`search.surrogate.knob_choices`), with values
        without effect as neutral: how often each choice is made; over time, how often it acts, how
        strongly, and for how long without a break; logarithms of the calls at which it does
        nothing, acts, and acts without a break.
        """
        alike: dict[int, list[int]] = {}
        for row, strategy in enumerate(strategies):
            alike.setdefault(strategy.calls, []).append(row)
        found = np.empty((len(strategies), self._length), dtype=np.float32)
        for rows in alike.values():
            found[rows] = self._alike([strategies[row].canonical() for row in rows])
        return found

    def _alike(self, alive: Sequence[Strategy]) -> NDArray[np.float64]:
        """Features of strategies in normal form that make equally many calls."""
        calls, count = alive[0].calls, len(alive)
        whole = np.array([self._whole(one) for one in alive])
        places = np.stack([self._places(one) for one in alive])
        acting, strengths = places > self._first, self._strengths[places]
        runs = _runs(acting)
        over_time = np.concatenate([acting, strengths, runs / calls], axis=1) @ _weights(calls)
        apart = places.reshape(count, -1) + self._choices * np.arange(count)[:, None]
        shares = np.bincount(apart.ravel(), minlength=self._choices * count) / calls
        counts = _counts(acting, strengths, runs)
        rest = (shares, over_time, counts)
        return np.concatenate([whole, *(one.reshape(count, -1) for one in rest)], axis=1)

    def _whole(self, alive: Strategy) -> list[float]:
        """Features of the whole generation."""
        found = [float(solver == alive.solver_text) for solver in self.space.solvers]
        found += [alive.calls, 1 / alive.calls, alive.steps, log(alive.calls)]
        for gene in self.space.global_genes:
            if isinstance(gene, OneOf):
                there = [place for place, name in enumerate(gene.choices) if name in alive.methods]
                found.append(float(there[0]) if there else -1.0)
                continue
            knobs = alive.methods.get(gene.method)
            value = None if knobs is None else getattr(knobs, gene.knob)
            found.append(float(value) if isinstance(value, int | float) else -1.0)
        return found

    def strengths(self, strategy: Strategy) -> NDArray[np.float64]:
        """Strength of each knob over time, from 0 to 1: `[knobs, BINS]`."""
        acting = self._strengths[self._places(strategy.canonical())]
        found: NDArray[np.float64] = acting @ _weights(strategy.calls)
        return found

    def _places(self, strategy: Strategy) -> NDArray[np.intp]:
        """The choice of each knob at each call, all knobs' choices in one row: `[knobs, calls]`."""
        chosen = [knob.choices(strategy) for knob in self.knobs]
        indices = np.array(chosen, dtype=np.intp).reshape(len(chosen), strategy.calls)
        return indices + self._first


def _runs(acting: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number of calls since each knob last did nothing, at each call: `[n, knobs, calls]`."""
    calls = np.arange(acting.shape[2])
    idle = np.where(acting, -1, calls)
    return np.asarray(calls - np.maximum.accumulate(idle, axis=2), dtype=np.intp)


def _counts(
    acting: NDArray[np.bool_], strengths: NDArray[np.float64], runs: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Logarithms of numbers of calls of each knob, `[n, numbers, knobs]`.

    They count calls that are idle, idle by strength, and acting, and the longest and the mean
    number of calls without a break. The last two are also given as shares of the generation.
    """
    calls = acting.shape[2]
    longest = runs.max(axis=2)
    # 1 + 3 + 5 + ... over a run is the square of its length.
    mean = ((2 * runs - 1) * acting).sum(axis=2) / calls
    active = acting.sum(axis=2)
    idle = calls - active
    counts = np.log1p([idle, (1 - strengths).sum(axis=2), active, longest, mean])
    return np.concatenate([counts, [longest / calls, mean / calls]]).swapaxes(0, 1)


@cache
def _weights(calls: int) -> NDArray[np.float64]:
    """Weight of each call in each bin of time, `[calls, BINS]`; columns sum to 1."""
    edges = np.linspace(0, calls, BINS + 1)
    starts = np.arange(calls)[:, None]
    inside = np.minimum(starts + 1, edges[1:]) - np.maximum(starts, edges[:-1])
    shares: NDArray[np.float64] = np.clip(inside, 0, None) * BINS / calls
    return shares
