"""Predictions of a search's plan compared with what finished runs really did.

    python -m benchmarks run recorded_forecasts runs/seed-0 runs/seed-1

The plan that a run makes before its first proposal is made again from what the run had measured by
then. Two predictions are compared: the number of evaluations that the budget buys, and the device
time of as many evaluations as the run has. A run has to have one worker: a study does not keep
what several workers took when they were compared. `--dry-run` uses the same forecast; the benchmark
`dry_run` compares it from the start, with what it measures itself. Writes
`benchmarks/results/recorded_forecasts.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, cast

from accel.models.loading import load_pipeline, quiet
from benchmarks.entry import RESULTS
from evaluate.speed.latency_measurement import unaccelerated_strategy
from search import spaces
from search.costs.cost_model import CostModel
from search.costs.forecast import Forecast, bred
from search.costs.measurement import make_tracker
from search.initial.baselines import known_strategies
from search.proposers.generation_strategy import GenerationStrategy
from search.results import run as runs
from search.results.run import Run
from search.study.measurements import Measurements
from search.study.study import Study


class Begun:
    """A study as it was before its first evaluation."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self.evaluations: list[Any] = []
        self.spent = Measurements(study).seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)


def forecast(run: Run, pipe: Any, budget: str) -> Forecast:
    """Forecast of a run with a budget, made before its first proposal.

    Args:
        run: the finished run.
        pipe: pipeline of its model.
        budget: budget to predict for.
    """
    config = run.config.model_copy(update={"budget": budget})
    study = cast(Study, Begun(run.study))
    model, table = config.model, Measurements(run.study).latency_table
    assert table is not None
    baseline = unaccelerated_strategy(pipe, model.scheduler, model.steps)
    costs = CostModel(table, None, baseline, model.share)
    space = spaces.make_space(config.space, baseline.family, pipe.scheduler)
    known = known_strategies(space, model.scheduler, model.steps, config.seeds)
    generation = GenerationStrategy(
        space, known, config.proposer, config.population, config.seed, config.ladder
    )
    generation.set_measurements(costs.latency)
    tracker = make_tracker(config, study, costs.latency(baseline), 0)
    made = Forecast(
        config, generation, costs.latency, baseline, tracker, study.spent, 0.0,
        bred(generation, costs.latency, config.surrogate),
    )  # fmt: skip
    made.plan()
    return made


def row(folder: Path, pipe: Any) -> dict[str, Any]:
    """Predictions and facts of one run."""
    run = runs.load_run(folder)
    rows = run.study.evaluations
    counts, _, _ = forecast(run, pipe, run.config.budget).evaluations()
    predicted = sum(counts.values())
    _, seconds, _ = forecast(run, pipe, f"{len(rows)}evals").evaluations()
    taken = sum(one.seconds for one in rows)
    return {
        "run": f"{folder.parent.name}/{folder.name}",
        "budget": run.config.budget,
        "evaluations_predicted": predicted,
        "evaluations": len(rows),
        "evaluations_ratio": round(predicted / len(rows), 3),
        "seconds_predicted": round(seconds, 1),
        "seconds": round(taken, 1),
        "seconds_ratio": round(seconds / taken, 3),
    }


def error(rows: Sequence[dict[str, Any]], name: str) -> float:
    """Median relative error of a prediction."""
    return round(float(median(abs(one[f"{name}_ratio"] - 1) for one in rows)), 3)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of searches of one model")
    flags = parser.parse_args(arguments)
    several = [str(folder) for folder in flags.runs if runs.load_run(folder).config.workers > 1]
    if several:
        parser.error(f"{', '.join(several)}: more than one worker; give runs with one")
    quiet()
    pipe = load_pipeline(runs.load_run(flags.runs[0]).config.model)
    rows = [row(folder, pipe) for folder in flags.runs]
    errors = {f"{name}_error": error(rows, name) for name in ("evaluations", "seconds")}
    text = json.dumps({**errors, "rows": rows}, indent=1)
    (RESULTS / "recorded_forecasts.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
