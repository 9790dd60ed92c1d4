"""Strategies: the record, its files, and the space that a search uses. Needs no torch."""

from typing import Any

from strategies import methods as _methods  # registers every method's knobs
from strategies.errors import StrategyError
from strategies.files import dump, load, parse, presets, save
from strategies.genomes.space import Gene, SearchSpace
from strategies.knobs import Knobs, registered_methods
from strategies.plugins.former_names import announce
from strategies.strategy import Strategy

__all__ = [
    "Gene",
    "Knobs",
    "SearchSpace",
    "Strategy",
    "StrategyError",
    "dump",
    "load",
    "parse",
    "presets",
    "registered_methods",
    "save",
]

_FORMER = {"known": "registered_methods"}  # They work for one release.

del _methods


def __getattr__(name: str) -> Any:
    if name not in _FORMER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    announce(__name__, name, _FORMER[name])
    return globals()[_FORMER[name]]
