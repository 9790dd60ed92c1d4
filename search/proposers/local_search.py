"""Local search at fixed latency: simulated annealing, then hill climbing.

It follows BudCache (ICML 2026), which fixes the number of computed steps and swaps them. Here one
chain runs in each band of latency, so that one search finds a front. Two calls that do different
things are swapped, which takes the same time. A genome that still leaves its band is proposed
again otherwise. A chain's state is a fold over the evaluations of its band in the order in which
they finished.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from search.proposers.base import Proposer, ProposerSettings
from search.proposers.schedule_operators import MOVES
from search.study.history import History
from strategies import SearchSpace
from strategies.genomes.space import GLOBALS, Genome

WIDTH = 0.1  # Of a band, in the logarithm of seconds.
HOT, COOLING = 0.3, 0.93  # Accepted relative worsening at first, and its factor per evaluation.
ANNEAL = 40  # Evaluations of a band until only improvements count.
TRIES = 30


@dataclass
class AnnealingChain:
    """State of the search in one band of latency: rows of the history."""

    current: int
    best: int
    seen: int = 1


class LocalSearch(Proposer):
    """One chain for each band of latency that has been reached."""

    name = "local"
    summary = "annealing and hill climbing by swaps in each band of latency, as BudCache"

    def __init__(self, settings: ProposerSettings) -> None:
        super().__init__(settings)
        self._chains: dict[int, AnnealingChain] = {}
        self._read = 0

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        self._follow(history)
        rng = self.rng(number, attempt)
        if not self._chains:
            return self.random_genome(rng)
        bands = sorted(self._chains)
        band = bands[number % len(bands)]
        chain = self._chains[band]
        row = chain.current if chain.seen < ANNEAL else chain.best
        start = history.good[row].genome
        for _ in range(TRIES):
            genome = swap(self.space, start, rng)
            if rng.random() < 0.2:
                changed = list(genome)
                MOVES[int(rng.integers(0, len(MOVES)))](self.space, changed, rng)
                genome = tuple(changed)
            if genome != start and self._band_of(genome) == band:
                return genome
        return swap(self.space, start, rng)

    def _band_of(self, genome: Genome) -> int:
        return _band(self.settings.latency(self.space.decode(genome)))

    def _follow(self, history: History) -> None:
        """Take the evaluations since the last time into their bands' chains."""
        for row in range(self._read, len(history)):
            if history.violations[row] > 0:
                continue
            band = _band(self.settings.latency(history.good[row].strategy))
            chain = self._chains.get(band)
            if chain is None:
                self._chains[band] = AnnealingChain(row, row)
                continue
            if history.images[row] < history.images[chain.best]:
                continue  # Of a lower rung: not to be compared.
            rng = np.random.default_rng([self.settings.seed, row])
            self._judge(chain, row, history, rng)
        self._read = len(history)

    def _judge(
        self, chain: AnnealingChain, row: int, history: History, rng: np.random.Generator
    ) -> None:
        if history.images[row] > history.images[chain.best]:
            chain.current = chain.best = row
            return
        new, now = history.objectives[row, 0], history.objectives[chain.current, 0]
        heat = HOT * COOLING**chain.seen * max(abs(now), 1e-12)
        chain.seen += 1
        if new <= now or (chain.seen < ANNEAL and rng.random() < math.exp((now - new) / heat)):
            chain.current = row
        if new < history.objectives[chain.best, 0]:
            chain.best = row


def swap(space: SearchSpace, genome: Genome, rng: np.random.Generator) -> Genome:
    """The genome with two calls that do different things exchanged, if there are such."""
    row = np.array(genome, dtype=np.int64)
    if not space.genes_per_slot:
        return genome
    slots = row[space.global_count :].reshape(space.slots, space.genes_per_slot)
    # Only the slots that the strategy's calls read.
    calls = space.calls[space.solvers[genome[0]], space.steps[genome[1]]]
    read = [space.slot(call, calls) for call in range(calls)]
    first = int(rng.choice(read))
    others = [slot for slot in read if (slots[slot] != slots[first]).any()]
    if others:
        second = int(rng.choice(others))
        slots[[first, second]] = slots[[second, first]]
    assert space.global_count >= GLOBALS
    return tuple(row.tolist())


def _band(seconds: float) -> int:
    return round(math.log(seconds) / WIDTH)
