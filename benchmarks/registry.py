"""Registry of the benchmarks: one entry per script, with the results it writes.

`python -m benchmarks` lists and runs these; `report.py` makes a page of their results.
"""

from __future__ import annotations

from benchmarks.entry import FOLDER, RESULTS, Benchmark
from benchmarks.registry_cost import COSTS
from benchmarks.registry_sampler import SAMPLER
from benchmarks.registry_search import SEARCHES

BENCHMARKS: tuple[Benchmark, ...] = (*SAMPLER, *SEARCHES, *COSTS)


def find(name: str) -> Benchmark:
    """The benchmark of a name."""
    return next(one for one in BENCHMARKS if one.name == name)


__all__ = ["BENCHMARKS", "FOLDER", "RESULTS", "Benchmark", "find"]
