"""Initial design: known strategies mixed with strategies sampled uniformly.

Known strategies alone are much alike; neither crossover nor a regression learns much from them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy.stats import qmc

from search.initial.random_genomes import uniform_genome
from search.study.evaluation import WARM_START
from strategies import SearchSpace, Strategy

RANDOM = "random"
SAVES = 0.97  # Latency as a share of that of its solver and steps alone, at most.
STREAM = 7  # Stream of random numbers, apart from those of the proposals.
Seed = tuple[str, Strategy]


def space_filling_order(seeds: Sequence[Seed], latency: Callable[[Strategy], float]) -> list[Seed]:
    """Strategies in an order whose first few, however many, are spread over all latencies.

    The order is van der Corput's sequence. Strategies of earlier searches come first, as they are.
    """
    first = [seed for seed in seeds if seed[0] == WARM_START]
    rest = [seed for seed in seeds if seed[0] != WARM_START]
    rest.sort(key=lambda seed: latency(seed[1]))
    order = np.argsort(qmc.Halton(1, scramble=False).random(len(rest))[:, 0]) if rest else ()
    return first + [rest[index] for index in order]


def worthwhile(
    space: SearchSpace, seeds: Sequence[Seed], latency: Callable[[Strategy], float]
) -> list[Seed]:
    """Initial strategies without those of a composed space that save no time on this device.

    Some of many methods save none, and each of their settings would cost a full generation.
    Strategies whose latency is not known before they are timed as a whole stay.
    """
    plain: dict[tuple[str, int], float] = {}
    found = []
    for origin, one in seeds:
        pair = one.solver_text, one.steps
        if pair not in plain:
            plain[pair] = latency(space.uniform(*pair))
        stays = not one.methods or origin == WARM_START or one.is_adaptive
        if stays or latency(one) < SAVES * plain[pair]:
            found.append((origin, one))
    return found


def random_strategies(space: SearchSpace, count: int, seed: int) -> list[Strategy]:
    """Strategies sampled uniformly from the space."""
    rng = np.random.default_rng([seed, STREAM])
    return [space.decode(uniform_genome(space, rng)) for _ in range(count)]


def interleave(seeds: Iterable[Seed], drawn: Iterable[Strategy]) -> list[Seed]:
    """Initial and random strategies alternating, then the rest of the longer list."""
    others = ((RANDOM, one) for one in drawn)
    found = dict[str, Seed]()
    for pair in itertools.zip_longest(seeds, others):
        for one in pair:
            if one is not None:
                found.setdefault(one[1].digest, one)
    return list(found.values())
