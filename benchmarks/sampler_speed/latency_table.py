"""The latency table against end-to-end time on random strategies, interleaved.

    python -m benchmarks run latency_table --strategies 10 --repeats 15

Writes `benchmarks/results/latency_table.json`: rank correlation, mean error, and the spread of
repeated measurements beside them.
"""

from __future__ import annotations

import argparse
import json
from statistics import median

import numpy as np
import torch
from scipy.stats import spearmanr

from accel import families
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from evaluate import Evaluator, read_model
from evaluate.speed.latency_measurement import measure_end_to_end, measure_table
from search.costs.probe_strategies import probes
from search.initial.random_genomes import uniform_genome
from search.spaces import make_space
from strategies import Strategy
from strategies.data_files.configs import read_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-sd")
    parser.add_argument("--space", default="", help="another than the model's")
    parser.add_argument("--strategies", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=15)
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model(flags.model))
    config, pipe = evaluator.config, evaluator.pipe
    family, _ = families.find_sites(pipe)
    name = flags.space or config.space
    space = make_space(read_config("spaces", name), family, pipe.scheduler)
    rng = np.random.default_rng(0)
    chosen: list[Strategy] = [
        space.decode(uniform_genome(space, rng)) for _ in range(flags.strategies)
    ]
    prompts = evaluator.prompts["search"]
    turns = [probes(space, turn) for turn in range(flags.repeats + 1)]
    table = measure_table(pipe, config, prompts, turns, space.solvers)
    times = measure_end_to_end(pipe, config, prompts, chosen, flags.repeats)
    predicted = np.array([table.predict(strategy) for strategy in chosen])
    measured = np.array([median(seconds) for seconds in times])
    error = predicted / measured - 1
    spread = [(np.quantile(s, 0.75) - np.quantile(s, 0.25)) / 2 / median(s) for s in times]
    result = {
        "device": table.device,
        "space": name,
        "kinds_timed": len(table.kinds),
        "strategies": len(chosen),
        "repeats": flags.repeats,
        "rank_correlation": float(spearmanr(predicted, measured).statistic),
        "mean_error": float(np.abs(error).mean()),
        "bias": float(error.mean()),
        "half_iqr_of_repeats": float(np.mean(spread)),
        "predicted_s": predicted.tolist(),
        "measured_s": measured.tolist(),
    }
    target = RESULTS / "latency_table.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({k: v for k, v in result.items() if not isinstance(v, list)}, indent=2))


if __name__ == "__main__":
    main()
