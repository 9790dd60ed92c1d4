"""Strategies: the record, its files, and the space that a search uses. Needs no torch."""

from strategies import methods as _methods  # registers every method's knobs
from strategies.errors import StrategyError
from strategies.files import dump, load, parse, presets, save
from strategies.genomes.space import Gene, SearchSpace
from strategies.knobs import Knobs, known
from strategies.strategy import Strategy

__all__ = [
    "Gene",
    "Knobs",
    "SearchSpace",
    "Strategy",
    "StrategyError",
    "dump",
    "known",
    "load",
    "parse",
    "presets",
    "save",
]

del _methods
