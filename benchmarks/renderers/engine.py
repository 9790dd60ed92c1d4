"""Tables of the search engine."""

from __future__ import annotations

from typing import Any

from benchmarks.renderers.markdown import table


def bookkeeping(data: Any) -> str:
    keys = ("proposer", "finished", "mean_ms", "all_ms", "all_cpu_ms", "propose_ms", "write_ms")
    heads = [
        "proposer", "evaluations finished", "mean, ms", "median, ms", "of the processor, ms",
        "proposing, ms", "writing, ms",
    ]  # fmt: skip
    return table(heads, [[one[key] for key in keys] for one in data])


def utilisation(data: Any) -> str:
    rows = [
        (one["where"], one["workers"], one["evaluations"], f"{one['utilisation']:.1%}")
        for one in data["rows"]
    ]
    return table(["where", "workers", "evaluations", "busy"], rows)


def dry_run(data: Any) -> str:
    rows = data["rows"] if isinstance(data, dict) else data
    keys = [key for key, value in rows[0].items() if isinstance(value, int | float | str)]
    heads = [key.replace("_", " ") for key in keys]
    return table(heads, [[one.get(key) for key in keys] for one in rows])
