"""`docs/benchmarks.md` from the results: every benchmark with its command, device and tables."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.registry import BENCHMARKS, Benchmark
from benchmarks.renderers import RENDERERS

HEAD = """\
# Benchmarks

`python -m benchmarks report` writes this page from `benchmarks/results/`; do not edit it. Run these
commands from the repository's root:

- `python -m benchmarks list` lists the benchmarks.
- `python -m benchmarks run NAME` measures, with `--cpu` at a size for machines without a GPU.

The compared methods take turns in one process, and ratios are of neighbouring rounds. Numbers in
brackets are quartiles.

A measurement was made on a CPU unless its device is a GPU. On a GPU the scripts measure full sizes
in fp16.
"""


def page() -> str:
    """The page, in Markdown."""
    parts = [HEAD]
    for group in dict.fromkeys(one.group for one in BENCHMARKS):
        sections = [section(one) for one in BENCHMARKS if one.group == group and one.files]
        if sections:
            parts += [f"## {group}\n", *sections]
    return "\n".join(parts)


def section(one: Benchmark) -> str:
    """One benchmark with all of its results."""
    lines = [f"### {one.name}\n", f"{one.about[0].upper()}{one.about[1:]}.\n"]
    for path in one.files:
        data = json.loads(path.read_text("utf-8"))
        lines.append(f"`benchmarks/results/{path.name}`, {device(data)}:\n")
        lines.append(RENDERERS[one.name](data) + "\n")
    return "\n".join(lines)


def device(data: Any) -> str:
    """The device of a result, as it says itself."""
    if isinstance(data, dict):
        for place in (data, data.get("setting", {}), data.get("settings", {})):
            if isinstance(place, dict) and place.get("device"):
                told = str(place["device"])
                return "a CPU" if told == "cpu" else told
    return "a CPU"
