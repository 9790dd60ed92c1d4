"""Proposers: algorithms that propose strategies, one in each file, found by name."""

from search.proposers.base import Settings, Source, Waiting
from search.proposers.dato import DaTo
from search.proposers.ecad import ECAD
from search.proposers.grid import Grid
from search.proposers.local_search import LocalSearch
from search.proposers.nsga2 import NSGA2
from search.proposers.nsga3 import NSGA3
from search.proposers.optuna_samplers import OptunaNSGA2, OptunaTPE
from search.proposers.random_search import UniformRandom

SOURCES: dict[str, type[Source]] = {
    kind.name: kind
    for kind in (NSGA2, NSGA3, LocalSearch, UniformRandom, Grid, DaTo, ECAD, OptunaNSGA2, OptunaTPE)
}

__all__ = ["SOURCES", "Settings", "Source", "Waiting"]
