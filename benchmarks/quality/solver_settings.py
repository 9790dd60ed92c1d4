"""Spacings and noise levels of the solvers at few steps: which belong into a search space.

    python -m benchmarks run solver_settings --images 96

tiny-sd, held-out prompts. Every spacing and every rule for the noise levels of DDIM and DPM++ at
each number of steps. Scored as `python -m evaluate` does, with 95 % intervals. Writes
`benchmarks/results/solver_settings.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from benchmarks.quality import scored_strategies
from benchmarks.quality.scored_strategies import BASELINE, Candidate
from evaluate import Evaluator
from strategies import Strategy
from strategies.solver_settings import TABLE

SOLVERS = ("DDIMScheduler", "DPMSolverMultistepScheduler")


def settings(scheduler: str) -> list[dict[str, str]]:
    """Every spacing that a solver takes, and every rule for its noise levels."""
    takes = TABLE[scheduler]
    spacings = [{"spacing": one} for one in takes.spacing]
    return [{}, *spacings, *({"sigmas": one} for one in takes.spreads)]


def candidates(steps: list[int]) -> dict[str, Candidate]:
    """Strategies by the solver's name, its settings and its steps."""
    made = {}
    for count in steps:
        for scheduler in SOLVERS:
            for solver in settings(scheduler):
                name = " ".join([scheduler, *solver.values(), str(count)])
                strategy = Strategy.create(
                    family="unet", scheduler=scheduler, steps=count, calls=count, solver=solver
                )
                made[name] = Candidate("fewer steps", strategy)
    return made


def main() -> None:
    """Generate, compare and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 8])
    parser.add_argument("--cache", type=Path, default=Path("runs/solver-settings"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model("tiny-sd"))
    chosen = {BASELINE: Candidate(BASELINE, evaluator.unaccelerated)} | candidates(flags.steps)
    rows, _ = scored_strategies.rows(evaluator, chosen, flags.images, flags.repeats, flags.cache)
    for name, row in rows.items():
        print(f"{name}: FD {row['fd_base']:.1f}, {row['speedup']:.2f}x", flush=True)
    document = {"images": flags.images, "repeats": flags.repeats, "rows": rows}
    path = flags.out / "solver_settings.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
