"""What searches on the table found, drawn for real on held-out prompts.

    python benchmarks/efficiency_live.py tiny-sd --evaluations 200 --images 48

Of each rival's front after so many evaluations on the table (one seed), the points that together
dominate most are drawn on prompts and noise that no search has seen; strategies that the table had
to guess are told apart from drawn ones. Hypervolume of what was drawn, with latency from the table;
the guess beside the figure. Writes `benchmarks/results/efficiency-live-MODEL.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import efficiency
import numpy as np
import tabular
import torch
from scipy.stats import kendalltau

from accel.models import quiet, read_model
from evaluate import Evaluator
from evaluate.distances import frechet_paired, frechet_statistic
from evaluate.evaluator import real_images
from search.front import hypervolume, spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--evaluations", type=int, default=200)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--points", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="names of rivals")
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    table, live = tabular.Table(flags.model), Live(flags.model, flags.images)
    rivals = {"Stratagem": efficiency.OURS} | efficiency.RIVALS
    found = []
    for name, rival in rivals.items():
        if flags.only and name not in flags.only:
            continue
        run = efficiency.Run(table, rival, flags.seed).go(flags.evaluations)
        found.append({"name": name} | live.score(run, flags.points))
        print(json.dumps(found[-1]), flush=True)
    target = Path(__file__).parent / "results" / f"efficiency-live-{flags.model}.json"
    setting = {name: getattr(flags, name) for name in ("evaluations", "images", "points", "seed")}
    text = json.dumps(setting | {"rows": found}, indent=1)
    target.write_text(text + "\n", encoding="utf-8")


class Live:
    """Drawing on held-out prompts."""

    def __init__(self, model: str, images: int) -> None:
        self.evaluator, self.images = Evaluator(read_model(model)), images
        self.base = self._features(self.evaluator.baseline)
        real = real_images().statistics("bundled")
        self.worst = float(frechet_statistic(self.base, real)(np.ones(images)))

    def _features(self, strategy: Any) -> Any:
        chosen = self.evaluator.prompts["heldout"].first(self.images)
        return self.evaluator.draw("held out", strategy, chosen).features("bundled").astype(float)

    def score(self, run: efficiency.Run, count: int) -> dict[str, Any]:
        rows = [row for row in run.rows if row.images == efficiency.FULL]
        points = np.array([row.objectives for row in rows])
        chosen = [
            rows[i] for i in spread(efficiency.logarithms(points, run.reference), (1, 1), count)
        ]
        guesses = [row.objectives[0] for row in chosen]
        figures = [
            float(frechet_paired(self._features(row.strategy), self.base)(np.ones(self.images)))
            for row in chosen
        ]
        latencies = [row.objectives[1] for row in chosen]
        worst = (self.worst, run.reference[1])
        held = np.array([figures, latencies]).T
        return {
            "hypervolume": round(hypervolume(held, worst), 4),
            "logarithmic": round(hypervolume(efficiency.logarithms(held, worst), (1, 1)), 4),
            "on_the_table": round(hypervolume(np.array([guesses, latencies]).T, run.reference), 4),
            "guessed": sum(row.strategy.digest not in run.table.features for row in chosen),
            "kendall_tau": round(float(kendalltau(guesses, figures).statistic), 3),
            "points": [
                {"latency_s": round(s, 4), "table": round(g, 2), "held_out": round(f, 2)}
                for s, g, f in zip(latencies, guesses, figures, strict=True)
            ],
        }


if __name__ == "__main__":
    main()
