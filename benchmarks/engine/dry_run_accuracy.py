"""Predictions of `--dry-run` compared with the run, on the bundled model in this process.

    python -m benchmarks run dry_run --budget 150s --budget 40evals

With `--cpu-seconds` the clock is the process's CPU time, for a machine that does other work: there
the seconds of the wall clock say more about that than about the search. Writes
`benchmarks/results/dry_run.json`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from accel.models.loading import load_pipeline, quiet
from benchmarks.entry import RESULTS
from evaluate.speed.latency_measurement import unaccelerated_strategy
from search import config, spaces
from search.engine.search import Search
from search.initial.baselines import known_strategies
from search.proposers.generation_strategy import GenerationStrategy
from search.study.study import Study
from search.workers import factory as workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", action="append", required=True)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--heldout-images", type=int, default=16)
    parser.add_argument("--export", type=int, default=4)
    parser.add_argument("--cpu-seconds", action="store_true")
    flags = parser.parse_args()
    if flags.cpu_seconds:
        time.monotonic = time.perf_counter = time.process_time
    torch.set_num_threads(1)
    quiet()
    rows = []
    for budget in flags.budget:
        rows.append(compare(budget, flags))
        print(json.dumps(rows[-1]), flush=True)
    found = {"cpu_seconds": flags.cpu_seconds, "rows": rows}
    target = RESULTS / "dry_run.json"
    target.write_text(json.dumps(found, indent=2) + "\n")


def compare(budget: str, flags: argparse.Namespace) -> dict[str, Any]:
    settings = {
        "budget": budget,
        "workers": 0,
        "images": flags.images,
        "heldout_images": flags.heldout_images,
        "export": flags.export,
    }
    foretold = make(settings, Path(tempfile.mkdtemp())).predict()
    engine = make(settings, Path(tempfile.mkdtemp()))
    engine.prepare()
    before = engine.study.spent
    engine.evaluate()
    searched = engine.study.spent
    engine.finish()
    spent = engine.study.spent
    return settings | {
        "predicted": {
            "seconds": round(foretold.total, 1),
            "before": round(foretold.before, 1),
            "search": round(foretold.search, 1),
            "after": round(foretold.after, 1),
            "evaluations": sum(foretold.evaluations.values()),
            "measuring": round(foretold.measured, 1),
        },
        "real": {
            "seconds": round(spent, 1),
            "before": round(before, 1),
            "search": round(searched - before, 1),
            "after": round(spent - searched, 1),
            "evaluations": len(engine.study.evaluations),
        },
    }


def make(settings: dict[str, Any], folder: Path) -> Search:
    chosen = config.resolve("tiny-sd", settings)
    model = chosen.model
    pipe = load_pipeline(model)
    space = spaces.make_space(chosen.space, "unet", pipe.scheduler)
    known = known_strategies(space, model.scheduler, model.steps)
    ladder = chosen.ladder
    generation = GenerationStrategy(
        space, known, chosen.proposer, chosen.population, chosen.seed, ladder
    )
    baseline = unaccelerated_strategy(pipe, model.scheduler, model.steps)
    study, executor = (
        Study(folder / "study.journal"),
        workers.make_executor(chosen, chosen.model, "cpu"),
    )
    return Search(chosen, folder, study, executor, space, baseline, generation, lambda _: None)


if __name__ == "__main__":
    main()
