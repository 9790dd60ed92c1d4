"""Strategies and methods as rich tables that fit 80 columns and stay plain text in a pipe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from strategies import describe
from strategies.strategy import Strategy


def console() -> Console:
    """Standard output, with nothing in the text taken for markup."""
    return Console(markup=False, emoji=False, highlight=False)


def listing(rows: Iterable[tuple[str, Strategy]]) -> RenderableType:
    """One entry for each (name, strategy)."""
    table = _table("name", "for", "what it does")
    table.columns[0].max_width = 26
    for name, strategy in rows:
        made_for = f"{strategy.family}, {describe.plain(strategy.scheduler)}\n{schedule(strategy)}"
        table.add_row(describe.plain(name), made_for, "\n".join(describe.summary(strategy)))
    return table


def schedule(strategy: Strategy) -> str:
    """Steps and calls."""
    return f"{strategy.steps} steps, {strategy.calls} calls"


def details(strategy: Strategy) -> RenderableType:
    """Every field, and what happens at every call."""
    head: list[tuple[str, str]] = [
        (field, describe.text(getattr(strategy, field)))
        for field in ("name", "family", "scheduler", "steps", "calls")
    ]
    head.append(("digest", strategy.digest[:12]))
    for name, knobs in sorted(strategy.methods.items()):
        head += [(f"{name}.{key}", value) for key, value in describe.flat(knobs).items()]
    measured: list[tuple[str, str]] = []
    for field in ("scores", "baseline", "provenance"):
        measured += describe.free(field, _rounded(getattr(strategy, field))).items()
    return Group(_pairs(head), "", _calls(strategy), "", _pairs(measured))


def _calls(strategy: Strategy) -> RenderableType:
    names = sorted(strategy.canonical().methods)
    if not names:
        return f"no method does anything: {describe.NOTHING}"
    table = _table("calls", *names)
    table.columns[0].no_wrap = True
    for span in describe.spans(strategy):
        cells = (describe.act_text(span.acts.get(name, {})) or "-" for name in names)
        table.add_row(str(span), *cells)
    return Group(table, 'At "-" the method does nothing.')


def _rounded(value: Any) -> Any:
    """Free JSON with six digits of every number."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def method(about: Mapping[str, Any]) -> RenderableType:
    """A method from `describe.method`."""
    rows = [("paper", about["paper"]), ("families", ", ".join(about["families"]))]
    for knob in about["knobs"]:
        facts = ["per call" if knob["per_call"] else "global", knob["values"]]
        default = json.dumps(knob["default"])
        facts.append("required" if knob["required"] else f"default {default}")
        if knob["neutral"] is not None:
            facts.append(f"neutral {json.dumps(knob['neutral'])}")
        rows.append((knob["name"], f"{'; '.join(facts)}\n{knob['description']}"))
    return Group(f"{about['name']}: {about['about']}", Padding(_pairs(rows), (0, 0, 1, 2)))


def difference(rows: Sequence[tuple[str, str, str]], names: tuple[str, str]) -> RenderableType:
    """Rows of `describe.differences`."""
    table = _table("", *map(describe.plain, names))
    for row in rows:
        table.add_row(*row)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _pairs(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
