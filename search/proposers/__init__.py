"""Proposers: algorithms that propose strategies, one in each file, found by name."""

from typing import Any

from search.proposers.base import NotReadyError, Proposer, ProposerSettings
from search.proposers.dato import DaToProposer
from search.proposers.ecad import ECAD
from search.proposers.grid import GridSearch
from search.proposers.local_search import LocalSearch
from search.proposers.nsga2 import NSGA2
from search.proposers.nsga3 import NSGA3
from search.proposers.optuna_samplers import OptunaNSGA2, OptunaTPE
from search.proposers.random_search import RandomSearch
from strategies.plugins import entry_points

_OWN: dict[str, type[Proposer]] = {
    kind.name: kind
    for kind in (
        NSGA2,
        NSGA3,
        LocalSearch,
        RandomSearch,
        GridSearch,
        DaToProposer,
        ECAD,
        OptunaNSGA2,
        OptunaTPE,
    )
}


def _why_not(name: str, value: Any) -> str:
    """Reason why the plug-in of a proposer cannot be used; empty if it can be."""
    if not (isinstance(value, type) and issubclass(value, Proposer)):
        return f"it must be a subclass of Proposer, not {value!r:.80}"
    lacks = [one for one in ("name", "summary") if not hasattr(value, one)]
    if lacks:
        return f"its class lacks {', '.join(lacks)}"
    if value.name != name:
        return f"its proposer is called {value.name!r}; the entry point must have that name"
    return ""


PROPOSERS = entry_points.Table[type[Proposer]]("proposers", _OWN, _why_not)

__all__ = ["PROPOSERS", "NotReadyError", "Proposer", "ProposerSettings"]
