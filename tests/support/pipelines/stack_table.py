"""The table of diffusers' transformers in docs/models.md.

`python -m tests.support.pipelines.stack_table` writes it.

It is made of `benchmarks/results/stacks.json`; `python -m benchmarks run stacks` measured that.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import diffusers

from tests.support.paths import ROOT

DOCS = ROOT / "docs" / "models.md"
RESULT = ROOT / "benchmarks" / "results" / "stacks.json"
START = (
    "| transformer | supported | `fora` | `cat`, `atedm`, `toca` | lists of blocks, or the reason "
    "why not |"
)
HOME = "diffusers.models.transformers."
UNTRIED = "| {} | not tried | | | diffusers has no test model of it |"


def classes() -> list[str]:
    """Names of the transformers that the installed diffusers has."""
    found = []
    for name in sorted(dir(diffusers)):
        kind: Any = getattr(diffusers, name, None)
        if inspect.isclass(kind) and issubclass(kind, diffusers.ModelMixin):
            found += [name] * kind.__module__.startswith(HOME)
    return found


def table() -> str:
    """The table, with a row for every transformer."""
    measured = json.loads(RESULT.read_text("utf-8"))["models"]
    names = sorted({*measured, *classes()})
    rows = [row(n, measured[n]) if n in measured else UNTRIED.format(n) for n in names]
    return "\n".join([START, "| --- | --- | --- | --- | --- |", *rows])


def row(name: str, found: dict[str, Any]) -> str:
    """The line of one transformer."""
    if "fails" in found:
        return f"| {name} | no | | | {found['fails']} |"
    lists = ", ".join(f"`{one}`" for one in found["lists"])
    parts, tokens = ("yes" if found.get(key) else "no" for key in ("fora", "tokens"))
    return f"| {name} | family `{found['family']}` | {parts} | {tokens} | {lists} |"


def main() -> None:
    """Write the table."""
    text = DOCS.read_text("utf-8")
    before, _, rest = text.partition(START)
    after = rest.partition("\n\n")[2]
    DOCS.write_text(f"{before}{table()}\n\n{after}", "utf-8")


if __name__ == "__main__":
    main()
