"""Random genomes: uniform over the choices of a space."""

from __future__ import annotations

import numpy as np

from search.initial import method_switching as switching
from strategies import SearchSpace
from strategies.genomes.space import Genome


def uniform_genome(space: SearchSpace, rng: np.random.Generator) -> Genome:
    """A genome of which every choice is as likely as any other; of a composed space one of a few
    of its methods, as all of them at every call are too much of everything.
    """
    if space.methods:
        return switching.drawn(space, rng)
    return tuple(int(rng.integers(0, size)) for size in space.sizes)
