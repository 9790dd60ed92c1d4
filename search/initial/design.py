"""What a search evaluates first: what it knows, mixed with strategies drawn evenly.

Seeds alone look much alike, and neither crossover nor a regression has much to learn from them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy.stats import qmc

from search.initial.random_genomes import evenly
from search.study.evaluation import WARM_START
from strategies import SearchSpace, Strategy

RANDOM = "random"
SAVES = 0.97  # A seed's latency as a share of its solver's and steps' own, at most.
STREAM = 7  # Of the random numbers, apart from those of the proposals.
Seed = tuple[str, Strategy]


def spread(seeds: Sequence[Seed], latency: Callable[[Strategy], float]) -> list[Seed]:
    """Those of earlier searches as they come, then the others so that the first few, however many,
    are spread over all latencies (van der Corput's sequence).
    """
    first = [seed for seed in seeds if seed[0] == WARM_START]
    rest = [seed for seed in seeds if seed[0] != WARM_START]
    rest.sort(key=lambda seed: latency(seed[1]))
    order = np.argsort(qmc.Halton(1, scramble=False).random(len(rest))[:, 0]) if rest else ()
    return first + [rest[index] for index in order]


def worthwhile(
    space: SearchSpace, seeds: Sequence[Seed], latency: Callable[[Strategy], float]
) -> list[Seed]:
    """Seeds but for those of a composed space that save no time on this device: of many methods
    some do not, and each of their settings would be drawn at full cost.
    """
    plain: dict[tuple[str, int], float] = {}
    found = []
    for origin, one in seeds:
        pair = one.solver_text, one.steps
        if pair not in plain:
            plain[pair] = latency(space.uniform(*pair))
        if not one.methods or origin == WARM_START or latency(one) < SAVES * plain[pair]:
            found.append((origin, one))
    return found


def drawn(space: SearchSpace, count: int, seed: int) -> list[Strategy]:
    """Strategies drawn evenly from the space."""
    rng = np.random.default_rng([seed, STREAM])
    return [space.decode(evenly(space, rng)) for _ in range(count)]


def mixed(seeds: Iterable[Seed], drawn: Iterable[Strategy]) -> list[Seed]:
    """Seeds and strategies drawn evenly by turns, then what is left of the longer list."""
    others = ((RANDOM, one) for one in drawn)
    found = dict[str, Seed]()
    for pair in itertools.zip_longest(seeds, others):
        for one in pair:
            if one is not None:
                found.setdefault(one[1].digest, one)
    return list(found.values())
