"""Device time that shared prefixes would save in finished searches.

    python -m benchmarks run shared_prefixes runs/seed-0 runs/seed-1

Two strategies share a prefix if they have the same solver and steps and do the same at their first
calls. The later one could then start from the latents of the earlier one. Nothing is generated: the
proposals of recorded runs are read, and the time of their calls is that of the run's latency table.
Two savings are given. The first resumes at calls that compute everything, so that only latents and
the state of the solver have to be kept. The second resumes anywhere, so that everything that the
methods keep has to be kept as well. Both are upper bounds: room for what is kept is unlimited, and
keeping and reading it costs nothing. The order of the proposals does not matter then, since each
different prefix is computed once in any order. Writes `benchmarks/results/shared_prefixes.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.entry import RESULTS
from evaluate.speed.latency_table import LatencyTable
from search.results import run as runs
from search.study.evaluation import Evaluation
from search.study.measurements import Measurements
from strategies import Strategy

Acts = tuple[str, ...]
Prefix = tuple[str, int, Acts]  # Solver, steps, and the acts of each call.


def acts(strategy: Strategy) -> Acts:
    """Text of everything that the methods do at each call; empty where all is computed."""
    methods = sorted(strategy.canonical().methods.items())
    return tuple(
        " ".join(
            f"{name}.{knob}={value}"
            for name, knobs in methods
            for knob, value in sorted(knobs.at(call).items())
        )
        for call in range(strategy.calls)
    )


@dataclass
class Costs:
    """Seconds of one image by parts.

    Attributes:
        table: latency table of the run.
    """

    table: LatencyTable

    def calls(self, strategy: Strategy, count: int) -> float:
        """Seconds of the first `count` calls, with the solver's share."""
        around = count * self.table.solver[strategy.solver_text]
        return around + sum(self.table.seconds(kind) for kind in strategy.kinds()[:count])

    def share(self, strategy: Strategy, count: int) -> float:
        """Share of the first `count` calls in the seconds of an image."""
        return self.calls(strategy, count) / self.table.predict(strategy)


def saved(
    evaluations: Sequence[Evaluation], table: LatencyTable, below: dict[int, int], anywhere: bool
) -> float:
    """Seconds that the evaluations would not have taken.

    Args:
        evaluations: evaluations in the order in which they finished.
        table: latency table of the run.
        below: number of images of the rung below, by the number of images of a rung.
        anywhere: whether to resume at any call, else at those that compute everything.
    """
    costs, total = Costs(table), 0.0
    there: dict[int, set[Prefix]] = {first: set() for first in below.values()}
    for one in evaluations:
        if not one.succeeded:
            continue
        strategy, first = one.strategy, below[one.images]
        made = acts(strategy)
        rows = [(strategy.solver_text, strategy.steps, made[:n]) for n in range(len(made))]
        known = there[first]
        ends = [n for n in range(1, len(made)) if anywhere or not made[n]]
        shared = max((n for n in ends if rows[n] in known), default=0)
        total += one.seconds * costs.share(strategy, shared)
        known.update(rows)
    return total


def row(folder: Path) -> dict[str, Any]:
    """Savings of one run, as shares of its device time."""
    run = runs.load_run(folder)
    study, ladder = run.study, run.config.ladder
    table = Measurements(study).latency_table
    assert table is not None
    below = dict(zip(ladder, (0, *ladder), strict=False))
    rows = study.evaluations
    seconds = sum(one.seconds for one in rows)
    found = {
        "computed_call": saved(rows, table, below, anywhere=False),
        "any_call": saved(rows, table, below, anywhere=True),
    }
    return {
        "run": f"{folder.parent.name}/{folder.name}",
        "space": "composed" if "composed" in run.config.space else "narrow",
        "evaluations": len(rows),
        "device_s": round(study.spent, 1),
        "proposals": round(seconds / study.spent, 3),
        **{name: round(value / study.spent, 4) for name, value in found.items()},
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of searches")
    parser.add_argument("--out", type=Path, default=RESULTS / "shared_prefixes.json")
    flags = parser.parse_args(arguments)
    rows = [row(folder) for folder in flags.runs]
    names = ("proposals", "computed_call", "any_call")
    middles = {
        space: {name: median(one[name] for one in rows if one["space"] == space) for name in names}
        for space in dict.fromkeys(one["space"] for one in rows)
    }
    text = json.dumps({"medians": middles, "rows": rows}, indent=1)
    flags.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
