"""Bookkeeping per evaluation: proposing, and writing to the study, as the study grows.

    python benchmarks/bookkeeping.py --sizes 100,1000,10000

Evaluations are made up; drawing and scoring images are not in it. Each proposer is measured over
`--repeats` evaluations after so many finished ones. Prints one JSON line per proposer and size and
writes them to `benchmarks/results/bookkeeping.json`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from search.proposer import Proposer
from search.study import Evaluation, Study
from strategies import Gene, SearchSpace, Strategy

STEPS = [4, 5, 6, 8, 10, 12, 15, 20, 25]
SOLVERS = ["DDIMScheduler", "DPMSolverMultistepScheduler"]
GENES = [
    Gene("deepcache", "depth", ("full", 0, 1, 2, 3, 6)),
    Gene("tome", "ratio", (0.0, 0.25, 0.5)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="100,1000,10000")
    parser.add_argument("--proposers", default="nsga2,nsga3,local,random")
    parser.add_argument("--repeats", type=int, default=50)
    flags = parser.parse_args()
    calls = {(solver, count): count for solver in SOLVERS for count in STEPS}
    space = SearchSpace("unet", SOLVERS, STEPS, calls, GENES, {"tome": {"stride": 2, "levels": 1}})
    sizes = [int(size) for size in flags.sizes.split(",")]
    lines = []
    rows = [invented(space, number) for number in range(max(sizes))]
    for name in flags.proposers.split(","):
        for size in sizes:
            line = measure(space, name, rows[:size], flags.repeats)
            lines.append(line)
            print(json.dumps(line), flush=True)
    target = Path(__file__).parent / "results" / "bookkeeping.json"
    target.write_text(json.dumps(lines, indent=2) + "\n")


def invented(space: SearchSpace, number: int) -> Evaluation:
    rng = np.random.default_rng([7, number])
    genome = tuple(int(rng.integers(0, size)) for size in space.sizes)
    return evaluation(number, genome, space.decode(genome))


def evaluation(number: int, genome: tuple[int, ...], strategy: Strategy) -> Evaluation:
    noise = float(np.random.default_rng([8, number]).random())
    losses = (noise / strategy.calls, latency(strategy))
    scores = {"fd_base": losses[0], "latency_s": losses[1]}
    return Evaluation(number, "test", genome, strategy, scores, "", 1.0, losses, 0.0, 24)


def latency(strategy: Strategy) -> float:
    return 0.1 + sum(0.02 if kind == "" else 0.01 for kind in strategy.kinds())


def measure(space: SearchSpace, name: str, rows: list[Evaluation], repeats: int) -> dict[str, Any]:
    finished = list(rows)
    taken = {row.strategy.digest for row in finished}
    proposer = Proposer(space, [], name, 24, 0)
    proposer.learn(latency)
    proposing, writing = [], []
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder) / "study.journal")
        proposer.propose(len(finished), finished, taken)  # Reads what is there once.
        for number in range(len(finished), len(finished) + repeats):
            began = time.perf_counter()
            proposal = proposer.propose(number, finished, taken)
            proposing.append(time.perf_counter() - began)
            assert proposal is not None
            row = evaluation(number, proposal.genome, proposal.strategy)
            taken.add(proposal.mark)
            finished.append(row)
            began = time.perf_counter()
            study.add(row)
            writing.append(time.perf_counter() - began)
    return {
        "proposer": name,
        "finished": len(rows),
        "propose_ms": round(1000 * float(np.median(proposing)), 2),
        "write_ms": round(1000 * float(np.median(writing)), 2),
    }


if __name__ == "__main__":
    main()
