"""Fronts of searches, generated for real on held-out prompts.

    python -m benchmarks run efficiency_live tiny-sd --evaluations 100 --draw runs/drawn
    python -m benchmarks run efficiency_live tiny-pixart --on-table --draw runs/fronts

The searches are those of `search_quality/compare_searches.py`, with every strategy drawn, or on the
table alone. Of each front the points that together dominate most are drawn on prompts and noise
that no search has seen. Hypervolume of what was drawn, with latency from the table: medians and
quartiles over seeds, and the Mann-Whitney test of Stratagem's being larger. Writes
`benchmarks/results/efficiency-live-MODEL.json`; what is drawn is kept, so the same command goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau

from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from benchmarks.search_quality import compare_searches
from benchmarks.search_quality.significance import KINDS, p_greater
from benchmarks.search_quality.table_generator import Drawn
from evaluate.evaluator import real_images
from evaluate.statistics.distances import frechet_paired, frechet_statistic
from search.pareto import hypervolume, select_subset
from strategies import Strategy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--points", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--draw", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--on-table", action="store_true", help="only the fronts are drawn")
    parser.add_argument(
        "--only", nargs="+", help="names of optimizers; of the others an earlier result is kept"
    )
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    live = Live(Drawn(flags.model, flags.draw, not flags.on_table), flags.images)
    optimizers = {"Stratagem": compare_searches.OURS} | compare_searches.OPTIMIZERS
    target = RESULTS / f"efficiency-live-{flags.model}.json"
    names = ("model", "evaluations", "images", "points", "seeds")
    setting = {name: getattr(flags, name) for name in names}
    setting |= {"on_table": True} if flags.on_table else {}
    found = kept(target, setting, flags.only or optimizers)
    for name, optimizer in optimizers.items():
        if flags.only and name not in flags.only:
            continue
        runs = [
            compare_searches.Run(live.table, optimizer, seed).go(flags.evaluations)
            for seed in range(flags.seeds)
        ]
        found[name] = [live.score(run, flags.points) for run in runs]
        ours = found.get("Stratagem", [])
        print(json.dumps(row(name, found[name], ours) | {"runs": None}), flush=True)
        rows = [row(name, found[name], ours) for name in optimizers if name in found]
        text = json.dumps(setting | {"rows": rows}, indent=1)
        target.write_text(text + "\n", encoding="utf-8")


def kept(
    target: Path, setting: dict[str, Any], anew: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """Runs of an earlier result of the same setting, by optimizer, but for those to repeat."""
    told = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    if any(told.get(key) != value for key, value in setting.items()):
        return {}
    return {one["name"]: one["runs"] for one in told["rows"] if one["name"] not in anew}


def row(name: str, found: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, Any]:
    """Quartiles over the runs, and the chance that Stratagem is not better."""
    told: dict[str, Any] = {"name": name}
    for kind in KINDS:
        values = [one[kind] for one in found]
        told[kind] = [round(float(q), 4) for q in np.quantile(values, [0.25, 0.5, 0.75])]
        if ours and name != "Stratagem":
            told[f"{kind}_p"] = p_greater([one[kind] for one in ours], values)
    told["kendall_tau"] = round(float(np.median([one["kendall_tau"] for one in found])), 3)
    return told | {"runs": found}


class Live:
    """Drawing on held-out prompts.

    Args:
        table: table of the searches, which keeps generated images.
        images: held-out prompts.
    """

    def __init__(self, table: Drawn, images: int) -> None:
        self.table, self.images = table, images
        self.base = self._features(table.unaccelerated)
        real = real_images().statistics("bundled")
        self.worst = float(frechet_statistic(self.base, real)(np.ones(images)))

    def _features(self, strategy: Strategy) -> NDArray[np.float64]:
        return self.table.read(strategy, "heldout", self.images).astype(float)

    def score(self, run: compare_searches.Run, count: int) -> dict[str, Any]:
        """Hypervolumes of a front on held-out prompts, and its points."""
        rows = [row for row in run.rows if row.images == compare_searches.FULL]
        points = np.array([row.objectives for row in rows])
        chosen = [
            rows[i]
            for i in select_subset(
                compare_searches.logarithms(points, run.reference), (1, 1), count
            )
        ]
        searched = [row.objectives[0] for row in chosen]
        figures = [
            float(frechet_paired(self._features(row.strategy), self.base)(np.ones(self.images)))
            for row in chosen
        ]
        latencies = [row.objectives[1] for row in chosen]
        worst = (self.worst, run.reference[1])
        held = np.array([figures, latencies]).T
        return {
            "linear": round(hypervolume(held, worst), 4),
            "logarithmic": round(hypervolume(compare_searches.logarithms(held, worst), (1, 1)), 4),
            "kendall_tau": round(float(kendalltau(searched, figures).statistic), 3),
            "points": [
                {"latency_s": round(s, 4), "searched": round(g, 2), "held_out": round(f, 2)}
                for s, g, f in zip(latencies, searched, figures, strict=True)
            ],
        }


if __name__ == "__main__":
    main()
