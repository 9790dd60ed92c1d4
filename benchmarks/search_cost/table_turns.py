"""Turns of the latency table that are worth their time.

    python -m benchmarks run table_turns tiny-sd

The turns of a search's latency table are measured one after the other. Then a table from the first
few of them, in every choice of so many turns, predicts the latencies of the strategies that a
search begins with. These are compared with the predictions from all other turns: as they are, and
as shares of the unaccelerated latency. Writes `benchmarks/results/table_turns-MODEL.json`.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import torch

from accel.models.loading import quiet
from accel.profiling import clock
from benchmarks.entry import RESULTS
from evaluate import Evaluator, read_model
from evaluate.speed.latency_measurement import OverheadTiming, make_table, time_around, time_calls
from evaluate.speed.timing import device_name
from search import config as configuration
from search import spaces
from search.costs.probe_strategies import probes
from search.costs.table_precision import relative_error
from search.initial.baselines import known_strategies
from search.proposers.generation_strategy import GenerationStrategy
from strategies import SearchSpace, Strategy

Turn = tuple[dict[str, list[float]], list[OverheadTiming]]


def measured(
    evaluator: Evaluator, space: SearchSpace, count: int
) -> tuple[list[Turn], list[float], list[float]]:
    """Turns, with the seconds that the calls and the time around them took in each."""
    pipe, config, prompts = evaluator.pipe, evaluator.config, evaluator.prompts["search"]
    now, turns, calls, around = clock("cpu"), list[Turn](), list[float](), list[float]()
    for number in range(count):
        began = now()
        kinds = time_calls(pipe, config, prompts, probes(space, number))
        calls.append(now() - began)
        began = now()
        turns.append((kinds, time_around(pipe, config, prompts, space.solvers)))
        around.append(now() - began)
        print(f"turn {number + 1}: {calls[-1]:.1f} s and {around[-1]:.1f} s", flush=True)
    return turns, calls, around


def agreement(
    turns: Sequence[Turn], plain: Strategy, strategies: Sequence[Strategy]
) -> list[dict[str, Any]]:
    """Differences of tables of a few turns from those of all others, by the number of turns."""

    def predicted(rows: Sequence[int]) -> tuple[Any, float]:
        """Predictions from some turns after the one that warms up."""
        chosen = [turns[0], *(turns[i] for i in rows)]
        table = make_table([one[0] for one in chosen], [one[1] for one in chosen], "")
        return np.array([table.predict(one) for one in strategies]), table.predict(plain)

    counted, found = range(1, len(turns)), []
    for size in range(1, len(turns) // 2 + 1):
        apart, shares = [], []
        for rows in itertools.combinations(counted, size):
            rest = [i for i in counted if i not in rows]
            (mine, whole), (theirs, other) = predicted(rows), predicted(rest)
            apart.append(np.abs(mine / theirs - 1))
            shares.append(np.abs(mine / theirs * other / whole - 1))
        few = turns[: size + 1]
        error = relative_error(
            [one[0] for one in few], [one[1] for one in few], plain, strategies, 1.0
        )
        found.append(
            {
                "counted_turns": size,
                "others": len(turns) - 1 - size,
                "median_difference": round(float(np.median(apart)), 3),
                "median_difference_of_shares": round(float(np.median(shares)), 3),
                "q90_difference_of_shares": round(float(np.quantile(shares, 0.9)), 3),
                "error_that_stops": round(error, 3) if np.isfinite(error) else None,
            }
        )
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--turns", type=int, default=7)
    flags = parser.parse_args(arguments)
    torch.set_num_threads(1)
    quiet()
    evaluator = Evaluator(read_model(flags.model))
    chosen = configuration.resolve(flags.model, {})
    plain = evaluator.unaccelerated
    space = spaces.make_space(chosen.space, plain.family, evaluator.pipe.scheduler)
    known = known_strategies(space, chosen.model.scheduler, chosen.model.steps)
    generation = GenerationStrategy(
        space, known, chosen.proposer, chosen.population, chosen.seed, chosen.ladder
    )
    turns, calls, around = measured(evaluator, space, flags.turns)
    found = {
        "model": flags.model,
        "device": device_name(evaluator.pipe),
        "kinds": len(turns[0][0]),
        "seconds_of_calls": round(median(calls), 2),
        "seconds_around": round(median(around), 2),
        "rows": agreement(turns, plain, generation.first_strategies()),
    }
    target = RESULTS / f"table_turns-{flags.model}.json"
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
