"""Model card of a repository of strategies: their behaviour and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strategies import describe
from strategies.data_files.finite import is_number
from strategies.strategy import Strategy
from strategies.text import cut, plain

HEAD = """\
---
library_name: diffusers
tags:
- diffusion-stratagem
- acceleration
---

# Acceleration strategies

Strategies for diffusers pipelines, for use with diffusion-stratagem:

```
python -m strategies pull {repo} --out found
```

```python
import accel, strategies

strategy = strategies.load("found/{first}")
accel.apply(pipe, strategy, set_scheduler=True)  # pipe: the model below, loaded with diffusers
```

"""
TITLES = ("file", "model", "solver", "does", "speedup", "quality", "measured on", "digest")


def markdown(repo: str, strategies: Mapping[str, Strategy]) -> str:
    """The card of a repository, `README.md`.

    Args:
        repo: `owner/name`.
        strategies: strategies by file name.
    """
    lines = [" | ".join(TITLES), " | ".join("---" for _ in TITLES)]
    lines += [" | ".join(map(_cell, _row(name, one))) for name, one in sorted(strategies.items())]
    table = "\n".join(f"| {line} |" for line in lines)
    return HEAD.format(repo=repo, first=min(strategies)) + table + "\n\n" + NOTE


NOTE = """\
Speedup is over the unaccelerated pipeline. Quality is the change of a metric from the unaccelerated
pipeline, with a 95 % interval. Metrics that compare with the unaccelerated images have their own
value instead.
"""


def _row(name: str, one: Strategy) -> list[str]:
    scores, where = one.scores, one.provenance
    speedup = scores.get("speedup")
    return [
        name,
        str(where.get("model", where.get("paper", ""))),
        f"{one.solver_text.replace('Scheduler', '')}, {one.steps} steps",
        "; ".join(describe.summary(one)),
        f"{speedup:.2f}x" if is_number(speedup) else "not measured",
        "; ".join(_quality(scores)) or "not measured",
        ", ".join(_conditions(one)),
        one.digest[:12],
    ]


def _quality(scores: Mapping[str, Any]) -> list[str]:
    intervals = scores.get("intervals")
    if not isinstance(intervals, Mapping):
        return []
    return [
        f"{name} {value:.3g} ({low:.3g} to {high:.3g})"
        for name, cell in intervals.items()
        if isinstance(cell, list) and len(cell) == 3 and all(map(is_number, cell))
        for value, low, high in [cell]
    ]


def _conditions(one: Strategy) -> list[str]:
    where, found = one.provenance, []
    images = one.scores.get("images")
    if is_number(images):
        found.append(f"{images} images")
    size = where.get("resolution")
    if isinstance(size, list) and len(size) == 2:
        found.append(f"{size[1]} x {size[0]}")
    found += [str(where[key]) for key in ("device", "dtype") if key in where]
    versions = where.get("versions")
    if isinstance(versions, Mapping):
        found += [f"{name} {versions[name]}" for name in ("torch", "diffusers") if name in versions]
    return found


def _cell(text: str) -> str:
    """Text in one cell of a table, none of it Markdown or HTML."""
    shown = plain(cut(text))
    for sign in "\\|`*_[]<>":
        shown = shown.replace(sign, f"&#{ord(sign)};")
    return shown
