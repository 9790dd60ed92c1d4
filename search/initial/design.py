"""Initial design: known strategies mixed with strategies sampled uniformly.

Known strategies alone are much alike; neither crossover nor a regression learns much from them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy.stats import qmc

from search.initial.joint import JOINT
from search.initial.random_genomes import uniform_genome
from search.study.evaluation import WARM_START
from strategies import SearchSpace, Strategy

RANDOM = "random"
SAVES = 0.97  # Latency as a share of that of its solver and steps alone, at most.
STREAM = 7  # Stream of random numbers, apart from those of the proposals.
InitialStrategy = tuple[str, Strategy]


def space_filling_order(
    initial: Sequence[InitialStrategy], latency: Callable[[Strategy], float]
) -> list[InitialStrategy]:
    """Strategies in an order whose first few, however many, are spread over all latencies.

    The order is van der Corput's sequence. Strategies of earlier searches come first, as they are.
    """
    first = [pair for pair in initial if pair[0] == WARM_START]
    rest = [pair for pair in initial if pair[0] != WARM_START]
    rest.sort(key=lambda pair: latency(pair[1]))
    order = np.argsort(qmc.Halton(1, scramble=False).random(len(rest))[:, 0]) if rest else ()
    return first + [rest[index] for index in order]


def worthwhile(
    space: SearchSpace, initial: Sequence[InitialStrategy], latency: Callable[[Strategy], float]
) -> list[InitialStrategy]:
    """Initial strategies without those of a composed space that save no time on this device.

    Some of many methods save none, and each of their settings would cost a full generation.
    Strategies whose latency is not known before they are timed as a whole stay.
    """
    plain: dict[tuple[str, int], float] = {}
    found = []
    for origin, one in initial:
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


def interleave(
    initial: Iterable[InitialStrategy], drawn: Iterable[Strategy]
) -> list[InitialStrategy]:
    """Initial and random strategies alternating, then the rest of the longer list.

    Joint strategies come before all that, unless there are strategies of earlier searches.
    """
    initial = list(initial)
    earlier = any(origin == WARM_START for origin, _ in initial)
    first = [] if earlier else [pair for pair in initial if pair[0] == JOINT]
    found = {one.digest: (origin, one) for origin, one in first}
    others = ((RANDOM, one) for one in drawn)
    for pair in itertools.zip_longest(initial, others):
        for one in pair:
            if one is not None:
                found.setdefault(one[1].digest, one)
    return list(found.values())
