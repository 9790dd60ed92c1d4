"""Held-out hypervolume of finished runs: our strategies, the baselines, and both together.

    python -m benchmarks run hypervolume runs/seed-0 runs/seed-1 runs/seed-2

A strategy without any method is fewer steps and counts as a baseline, whoever found it. Objectives,
reference point and scores are those of `front.csv`. Prints one JSON line per run and writes them to
`benchmarks/results/hypervolume.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from benchmarks.entry import RESULTS
from search.pareto import hypervolume
from search.study.study import Study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    flags = parser.parse_args()
    lines = []
    for run in flags.runs:
        table = pd.read_csv(run / "front.csv")
        study = Study(run / "study.journal", read_only=True)
        plain = {e.strategy.digest[:12] for e in study.evaluations if not e.strategy.methods}
        base = table[table["role"] == "unaccelerated"].iloc[0]
        reference = (base["fd_real"], base["latency_s"])
        rest = table[table["role"] != "unaccelerated"]
        baseline = (rest["role"] == "baseline") | rest["digest"].isin(plain)
        passed = rest[~baseline & (rest["no_loss"] == "yes")]
        line = {
            "run": run.name,
            "ours": volume(rest[~baseline], reference),
            "baselines": volume(rest[baseline], reference),
            "together": volume(rest, reference),
            "evaluations": len(study.evaluations),
            "beyond_seeds": sum(e.origin in ("nsga2", "random") for e in study.evaluations),
            "no_loss_ours_speedup": float(passed["speedup"].max()) if len(passed) else None,
        }
        lines.append(line)
        print(json.dumps(line))
    target = RESULTS / "hypervolume.json"
    target.write_text(json.dumps(lines, indent=2) + "\n")


def volume(table: pd.DataFrame, reference: tuple[float, float]) -> float:
    return hypervolume(table[["fd_base", "latency_s"]].to_numpy(), reference)


if __name__ == "__main__":
    main()
