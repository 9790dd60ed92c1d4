"""Uniform grids only: solver x steps x interval x one setting for all calls, without any search."""

from __future__ import annotations

from search.proposers.base import Proposer
from search.study.history import History
from strategies.genomes.space import GLOBALS, Genome, Shared
from strategies.knobs import registered_methods


class GridSearch(Proposer):
    """The points of the grid in random order, so that any budget covers all of it.

    Calls 0, N, 2N, ... compute what caching methods would reuse; what takes tokens acts at every
    call alike.
    """

    name = "grid"
    summary = "points of the uniform grid of solver, steps, interval and one setting for all calls"

    def genome(self, number: int, attempt: int, history: History) -> Genome:
        rng, space = self.rng(number, attempt), self.space
        head = [int(rng.integers(0, size)) for size in space.sizes[: space.global_count]]
        calls = space.calls[space.solvers[head[0]], space.steps[head[1]]]
        interval = int(rng.integers(1, calls + 1))
        row = [int(rng.integers(0, len(gene.choices))) for gene in space.call_genes]
        # Of knobs that reuse, the first choice is to compute; the other knobs stay.
        key = [
            v if isinstance(gene, Shared) or _takes_tokens(gene.method) else 0
            for gene, v in zip(space.call_genes, row, strict=True)
        ]
        slots = [row] * space.slots
        for slot in range(space.slots):
            call = min(calls - 1, slot * calls // space.slots)
            slots[slot] = key if call % interval == 0 else row
        for call in range(calls):
            slots[space.slot(call, calls)] = key if call % interval == 0 else row
        assert space.global_count >= GLOBALS
        return (*head, *(value for one in slots for value in one))


def _takes_tokens(method: str) -> bool:
    kind = registered_methods()[method]
    return kind.reduces_tokens or kind.runs_token_subset
