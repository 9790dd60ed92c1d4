"""Rules of the search compared, one by one, on strategies that were generated once.

    python -m benchmarks run search_rules tiny-sd

A small search on the tabular benchmark proposes measured strategies only
(`search_cost/small_search.py`). One rule at a time differs from the default: the rungs, the share
that is promoted and which of it is first, the gain per second in place of the gain, how many
strategies are screened, how many random ones come first and whether these are mostly fast. Compared
are hypervolumes after equal device seconds, and the device time at which a search has the
hypervolume that the default has then. Writes `benchmarks/results/search_rules-MODEL.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from math import inf, isfinite
from statistics import median
from typing import Any

from benchmarks import entry
from benchmarks.search_cost.small_search import (
    Measured,
    Rules,
    SmallSearch,
    Volumes,
    read_measured,
)
from benchmarks.search_quality.significance import p_greater

DEFAULT = "default"
RULES = {
    DEFAULT: Rules(),
    "no rung": Rules(rungs=(16,)),
    "rungs of 2 and 16": Rules(rungs=(2, 16)),
    "rungs of 8 and 16": Rules(rungs=(8, 16)),
    "rungs of 4, 8 and 16": Rules(rungs=(4, 8, 16)),
    "a fifth promoted": Rules(reduction=5),
    "half promoted": Rules(reduction=2),
    "gain by root of seconds": Rules(power=0.5),
    "gain per second": Rules(power=1.0),
    "best of 24": Rules(pool=24),
    "best of 400": Rules(pool=400),
    "15 random first": Rules(start=15),
    "60 random first": Rules(start=60),
    "fast random ones first": Rules(start_power=1.0),
    "promoted by gain": Rules(promoted_power=0.0),
    "promoted by gain per second": Rules(promoted_power=1.0),
}
MARKS = (60.0, 120.0, 240.0)  # Device seconds.
KINDS = ("linear", "logarithmic")


def after(curve: Sequence[Volumes], seconds: float, kind: str) -> float:
    """Hypervolume of a search after some device seconds."""
    known = [getattr(one, kind) for one in curve if one.seconds <= seconds]
    return known[-1] if known else 0.0


def reached(curve: Sequence[Volumes], volume: float, kind: str) -> float:
    """Device seconds at which a search has a hypervolume; infinite if it never has."""
    return next((one.seconds for one in curve if getattr(one, kind) >= volume), inf)


def compare(curves: dict[str, list[list[Volumes]]]) -> list[dict[str, Any]]:
    """One row for each rule and mark: medians over the seeds.

    `p` is of a larger hypervolume than the default's. `time` is the device time of having the
    default's hypervolume of the same seed, as a share of the mark; None if most never have it.
    """
    rows = []
    for name, mine in curves.items():
        for mark in MARKS:
            row: dict[str, Any] = {"rules": name, "device_s": mark}
            for kind in KINDS:
                own = [after(one, mark, kind) for one in mine]
                plain = [after(one, mark, kind) for one in curves[DEFAULT]]
                goals = zip(mine, plain, strict=True)
                time = median(reached(one, goal, kind) for one, goal in goals) / mark
                row[kind] = round(median(own), 4)
                row[f"{kind}_p"] = p_greater(own, plain)
                row[f"{kind}_time"] = round(time, 2) if isfinite(time) else None
            rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("tiny-sd", "tiny-pixart"))
    parser.add_argument("--seeds", type=int, default=7)
    flags = parser.parse_args(arguments)
    known: Measured = read_measured(flags.model)
    # The other rules get twice the time to be where the default is.
    curves = {
        name: [SmallSearch(known, one, seed).run(2 * MARKS[-1]) for seed in range(flags.seeds)]
        for name, one in RULES.items()
    }
    setting = {"model": flags.model, "seeds": flags.seeds, "strategies": len(known.latency)}
    found = setting | {"rows": compare(curves)}
    target = entry.RESULTS / f"search_rules-{flags.model}.json"
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for row in found["rows"]:
        print(row)


if __name__ == "__main__":
    main()
