"""Strategies, methods and differences as plain data and as rows of a table, for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from strategies import describe
from strategies.strategy import Strategy


def strategy_row(source: str, strategy: Strategy, families: Sequence[str] = ()) -> dict[str, Any]:
    """A strategy in a list of strategies; `families` are those of a rule, if it is one."""
    return {
        "name": strategy.name,
        "family": strategy.family,
        "families": list(families) or [strategy.family],
        "scheduler": strategy.scheduler,
        "steps": strategy.steps,
        "calls": strategy.calls,
        "methods": sorted(strategy.methods),
        "summary": describe.summary(strategy),
        "digest": strategy.digest,
        "source": source,
    }


def strategy_details(strategy: Strategy) -> dict[str, Any]:
    """A strategy with its digest, and its acts in spans of equal calls."""
    spans = [{"first": s.first, "last": s.last, **s.acts} for s in describe.spans(strategy)]
    return strategy.to_json() | {"digest": strategy.digest, "spans": spans}


def span_rows(strategy: Strategy) -> list[dict[str, Any]]:
    """One row for each span of equal calls, with a column for each setting of each method."""
    return [
        {"first": span.first, "last": span.last}
        | {f"{name}.{key}": value for name, act in span.acts.items() for key, value in act.items()}
        for span in describe.spans(strategy)
    ]


def setting_rows(methods: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each setting of each method from `describe.method`."""
    return [
        {"method": method["name"], "setting": knob["name"]}
        | {key: value for key, value in knob.items() if key != "name"}
        for method in methods
        for knob in method["knobs"]
    ]


def gene_rows(space: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each gene of a space from `space_listing.facts`."""
    return [
        {"gene": gene["name"], "per_call": part == "per_call", "choices": gene["choices"]}
        for part in ("whole", "per_call")
        for gene in space[part]
    ]


def difference_rows(rows: Sequence[tuple[str, str, str]]) -> list[dict[str, str]]:
    """One row for each of `describe.differences`."""
    return [{"what": what, "first": one, "second": other} for what, one, other in rows]
