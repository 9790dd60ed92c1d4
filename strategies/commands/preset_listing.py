"""Presets and files that `python -m strategies list` shows."""

from __future__ import annotations

from collections.abc import Sequence

from strategies import rules
from strategies.files import load, named_rule, presets
from strategies.plugins.families import check_known
from strategies.strategy import Strategy

Row = tuple[str, Strategy, Sequence[str]]  # Name or file, strategy, families that it works on.


def listed(sources: Sequence[str], family: str | None = None) -> list[Row]:
    """Strategies by their names or files, or all presets, on request those of one family.

    Raises:
        StrategyError: a strategy cannot be read, or there is no such family.
    """
    if family is not None:
        check_known(family)
    rows = list[Row]()
    for source in sources or sorted({*presets(), *rules.rule_names()}):
        strategy, rule = load(source), named_rule(source)
        families = [strategy.family] if rule is None else rule.families
        if family is None or family in families:
            rows.append((source, strategy, families))
    return rows
