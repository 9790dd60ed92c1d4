"""Knobs of one method, read from a strategy's file or a caller's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from strategies.errors import StrategyError
from strategies.knobs import Knobs, check_names, expand, registered_methods
from strategies.plugins import entry_points
from strategies.plugins.families import families_of, works_on
from strategies.text import brief, cut
from strategies.words import did_you_mean, explain


def read_method(name: str, given: Any, calls: int, family: str) -> Knobs:
    """Check a method's knobs for a family's generation of `calls` calls.

    Raises:
        StrategyError: a field is refused; names the field, what was given and what is allowed.
    """
    methods = registered_methods()
    if name not in methods:
        there = ", ".join(methods) + did_you_mean(str(name), methods)
        there += entry_points.left_out("methods", str(name))
        raise StrategyError(f"methods.{cut(str(name))} is unknown; known methods are {there}")
    kind = methods[name]
    if not works_on(kind, family):
        there = ", ".join(families_of(kind))
        raise StrategyError(f"methods.{name} works on {there}, not on family {family!r}")
    if isinstance(given, Knobs):
        # Made without lists, it has no calls to give values for.
        given = {k: v for k, v in given.model_dump().items() if v or k not in kind.per_call}
    elif not isinstance(given, Mapping):
        raise StrategyError(f"methods.{name} must be an object of knobs, not {brief(given)}")
    check_names(given, kind, f"methods.{name}.")
    try:
        knobs = kind.model_validate(expand(kind, given, calls))
    except ValidationError as error:
        raise StrategyError(explain(error, f"methods.{name}.")) from None
    try:
        knobs.check(calls)
    except ValueError as error:
        raise StrategyError(f"methods.{name}: {error}") from None
    return knobs
