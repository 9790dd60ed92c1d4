"""Strategies and methods as rich tables that fit 80 columns and stay plain text in a pipe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from strategies import describe
from strategies.files import named_rule
from strategies.strategy import Strategy
from strategies.text import cut, plain

ROWS = 300  # Most rows of a table; rich needs seconds for many more than real strategies have.
RULE = "fits any solver and number of steps"
NAME = 48  # Columns for a name beside its value.


def console() -> Console:
    """Standard output that takes nothing in a text for markup."""
    return Console(markup=False, emoji=False, highlight=False)


def listing(rows: Iterable[tuple[str, Strategy]]) -> RenderableType:
    """One entry for each (name, strategy)."""
    table = _table("name", "what it does")
    table.columns[0].max_width = 26
    for name, strategy in rows:
        made_for = f"{strategy.solver_text}, {schedule(strategy)}"
        rule = named_rule(name)
        if rule is None:
            head = [f"{strategy.family}, {made_for}", *describe.summary(strategy)]
        else:
            head = [
                f"a rule for {_listed(rule.families)}: {RULE}",
                f"its paper's run: {strategy.family}, {made_for}",
                *describe.summary(strategy),
            ]
        lines = map(_cell, head)
        table.add_row(_cell(name), "\n".join(lines))
    return table


def _listed(names: Sequence[str]) -> str:
    """Names with commas and a last *and*."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def schedule(strategy: Strategy) -> str:
    """Steps and calls."""
    return f"{strategy.steps} steps, {strategy.calls} calls"


def details(strategy: Strategy, source: str = "") -> RenderableType:
    """Table of the fields, and of the acts at every call; `source` is its name or file."""
    head: list[tuple[str, str]] = [
        (field, describe.text(getattr(strategy, own)))
        for field, own in (
            *((name, name) for name in ("name", "family")),
            *(("scheduler", "solver_text"), ("steps", "steps"), ("calls", "calls")),
        )
    ]
    head.append(("digest", strategy.digest[:12]))
    rule = named_rule(source)
    if rule is not None:
        head.append(("rule", f"for {_listed(rule.families)}; {RULE}; shown for its paper's"))
    for name, knobs in sorted(strategy.methods.items()):
        head += [(f"{name}.{key}", value) for key, value in describe.flat_knobs(knobs).items()]
    measured = chain.from_iterable(
        describe.free(field, _rounded(getattr(strategy, field)))
        for field in ("scores", "baseline", "provenance")
    )
    return Group(pairs(head), "", _calls(strategy), "", pairs(measured))


def _calls(strategy: Strategy) -> RenderableType:
    names = sorted(strategy.canonical().methods)
    if not names:
        return f"no method does anything: {describe.NOTHING}"
    table = _table("calls", *names)
    table.columns[0].no_wrap = True
    spans = describe.spans(strategy)
    for span in spans[:ROWS]:
        cells = (describe.act_text(span.acts.get(name, {})) or "-" for name in names)
        table.add_row(str(span), *map(_cell, cells))
    return Group(table, *_more(len(spans)), 'At "-" the method does nothing.')


def _more(rows: int) -> list[str]:
    """Line with the number of rows that a table leaves out."""
    return [f"... and {rows - ROWS} more; --json shows all" for _ in range(rows > ROWS)]


def _rounded(value: Any) -> Any:
    """Free JSON with six digits of every number."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def method_table(about: Mapping[str, Any]) -> RenderableType:
    """A method from `describe.method`."""
    rows = [("paper", about["paper"]), ("families", ", ".join(about["families"]))]
    for knob in about["knobs"]:
        facts = ["per call" if knob["per_call"] else "global", knob["values"]]
        default = json.dumps(knob["default"])
        facts.append("required" if knob["required"] else f"default {default}")
        if knob["neutral"] is not None:
            facts.append(f"neutral {json.dumps(knob['neutral'])}")
        rows += [(knob["name"], "; ".join(facts)), ("", knob["description"])]
    return Group(f"{about['name']}: {about['about']}", Padding(pairs(rows), (0, 0, 1, 2)))


def difference_table(
    rows: Sequence[tuple[str, str, str]], names: tuple[str, str]
) -> RenderableType:
    """Rows of `describe.differences`."""
    table = _table("", *map(_cell, names))
    for row in rows[:ROWS]:
        table.add_row(*map(_cell, row))
    more = [f"... and {len(rows) - ROWS} more rows"] if len(rows) > ROWS else []
    return Group(table, *more)


def _cell(text: str) -> str:
    """Text of a file in one cell: printable and of limited length."""
    return plain(cut(text))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def pairs(rows: Iterable[tuple[str, str]]) -> RenderableType:
    """Table of names and values; rows beyond the limit are counted."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=NAME, overflow="fold")
    table.add_column(overflow="fold")
    count = 0
    for name, value in rows:
        count += 1
        if count <= ROWS:
            table.add_row(_cell(name), _cell(value))
    return Group(table, *_more(count))
