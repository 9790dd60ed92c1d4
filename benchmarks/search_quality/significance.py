"""The Mann-Whitney test of a few seeds against a few others, by counting all arrangements.

    python -m benchmarks run significance

SciPy's own choice between an exact test and the normal approximation takes the approximation as
soon as two values are equal. Of five seeds against five the approximation goes below the smallest
p-value that there is, 1 in 252. Counting the arrangements holds with and without equal values.

The command recomputes the p-values in `benchmarks/results/efficiency-*.json` from the hypervolumes
that these files hold. Run `python -m benchmarks report` after it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import PermutationMethod, mannwhitneyu

from benchmarks.entry import RESULTS

KINDS = ("linear", "logarithmic")


def p_greater(mine: Sequence[float], others: Sequence[float]) -> float:
    """The one-sided p-value of `mine` being larger than `others`, to four digits."""
    every = PermutationMethod(n_resamples=np.inf)
    return round(float(mannwhitneyu(mine, others, alternative="greater", method=every).pvalue), 4)


def recount(told: dict[str, Any]) -> int:
    """Recompute all p-values of one result in place; returns how many changed.

    The values tested are those that the file keeps of every seed: `volumes` of
    `search_quality/compare_searches.py`, `runs` of `search_quality/compare_generated.py`.
    """
    rows = {one["name"]: one for one in told["rows"]}
    ours = rows.get("Stratagem")
    if ours is None:
        return 0
    changed = 0
    for name, one in rows.items():
        if name == "Stratagem":
            continue
        for entry, mine, others in _pairs(one, ours):
            for kind in KINDS:
                key = f"{kind}_p"
                if key in entry:
                    p = p_greater(mine[kind], others[kind])
                    changed += p != entry[key]
                    entry[key] = p
    return changed


def _pairs(one: dict[str, Any], ours: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
    """Places of p-values, with our values and the optimizer's by kind."""
    if "at" in one:
        return [
            (entry, ours["at"][mark]["volumes"], entry["volumes"])
            for mark, entry in one["at"].items()
        ]
    values = [{kind: [run[kind] for run in row["runs"]] for kind in KINDS} for row in (ours, one)]
    return [(one, values[0], values[1])]


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for path in sorted(RESULTS.glob("efficiency-*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        changed = recount(told)
        if changed:
            path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        print(f"{path.name}: {changed} p-values changed")


if __name__ == "__main__":
    main()
