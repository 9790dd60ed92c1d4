"""Proposers: algorithms that propose strategies, one in each file, found by name."""

from search.proposers.base import NotReadyError, Proposer, ProposerSettings
from search.proposers.dato import DaTo
from search.proposers.ecad import ECAD
from search.proposers.grid import GridSearch
from search.proposers.local_search import LocalSearch
from search.proposers.nsga2 import NSGA2
from search.proposers.nsga3 import NSGA3
from search.proposers.optuna_samplers import OptunaNSGA2, OptunaTPE
from search.proposers.random_search import RandomSearch

PROPOSERS: dict[str, type[Proposer]] = {
    kind.name: kind
    for kind in (
        NSGA2,
        NSGA3,
        LocalSearch,
        RandomSearch,
        GridSearch,
        DaTo,
        ECAD,
        OptunaNSGA2,
        OptunaTPE,
    )
}

__all__ = ["PROPOSERS", "NotReadyError", "Proposer", "ProposerSettings"]
