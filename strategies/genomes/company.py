"""Methods of a genome that go with one that computes several calls at once.

Genes are chosen independently of each other, but such a method (`Knobs.adaptive`) goes with few
others and with few solvers. Where it acts, others are left out; with another solver it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from strategies.errors import StrategyError
from strategies.knobs import registered_methods
from strategies.method_reading import read_method
from strategies.solver_settings import split_solver

Methods = dict[str, dict[str, Any]]


def adaptive_methods(names: Collection[str]) -> list[str]:
    """Methods among these whose calls take different times for different images."""
    return [name for name in names if registered_methods()[name].adaptive]


def agreeing_methods(methods: Methods, family: str, solver: str, calls: int) -> Methods:
    """The methods of a genome that one strategy can hold.

    Args:
        methods: knobs by name.
        family: family of the model.
        solver: solver in its short form.
        calls: number of calls of the generation.
    """
    for name in adaptive_methods(methods):
        knobs = read_method(name, methods[name], calls, family)
        if knobs.canonical(calls, None).is_neutral():
            continue
        if not suits_solver(registered_methods()[name].solvers, solver):
            methods = _without(methods, [name])
            continue
        refused = []
        for other in methods:
            try:
                beside = read_method(other, methods[other], calls, family)
                knobs.check_beside({name: knobs, other: beside})
            except StrategyError:
                refused.append(other)
        methods = _without(methods, refused)
    return methods


def suits_solver(solvers: Collection[str], solver: str) -> bool:
    """Whether a solver is one of those that a method works with; none named means all of them."""
    name, settings = split_solver(solver)
    rows = [split_solver(one) for one in solvers]
    return not rows or any(
        name == own and settings.items() >= needed.items() for own, needed in rows
    )


def _without(methods: Mapping[str, dict[str, Any]], names: Collection[str]) -> Methods:
    return {name: knobs for name, knobs in methods.items() if name not in names}
