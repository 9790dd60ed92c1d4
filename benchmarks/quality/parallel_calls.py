"""ParaDiGMS: several calls in one batch, compared with single calls and with fewer of them.

    python -m benchmarks run parallel_calls --images 96

tiny-sd, held-out prompts, DDIM. Windows of 2, 4 and 8 calls at two tolerances. Scored as `python -m
evaluate` does, with 95 % intervals; latency is end to end of one image, all in turns. The number of
passes of the network is that of one image. Writes `benchmarks/results/parallel_calls.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

import accel
from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from benchmarks.quality import scored_strategies
from benchmarks.quality.scored_strategies import BASELINE, Candidate
from evaluate import Evaluator
from evaluate.images.generation import run_pipeline
from strategies import Strategy

STEPS, FEWER = 25, (8, 12, 16)
WINDOWS, TOLERANCES = (2, 4, 8), (0.1, 0.5)


def ddim(steps: int, **knobs: Any) -> Strategy:
    """DDIM with ParaDiGMS, or without if no knobs are given."""
    methods = {"paradigms": knobs} if knobs else {}
    return Strategy.create(
        family="unet", scheduler="DDIMScheduler", steps=steps, calls=steps, methods=methods
    )


def passes(evaluator: Evaluator, strategy: Strategy) -> dict[str, int]:
    """Passes of the network for one image, and the rows of all of them."""
    pipe, prompt = evaluator.pipe, evaluator.prompts["heldout"].first(1)
    with accel.accelerated(pipe, strategy, set_scheduler=True):
        run_pipeline(pipe, evaluator.config, strategy, prompt)
        ran = [record.running or 0 for record in accel.stats(pipe)]
    return {"passes": sum(map(bool, ran)), "rows": sum(ran)}


def main() -> None:
    """Generate, compare and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path("runs/parallel-calls"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model("tiny-sd"))
    chosen = {BASELINE: Candidate(BASELINE, evaluator.unaccelerated)}
    chosen |= {f"DDIM {n}": Candidate("fewer steps", ddim(n)) for n in FEWER}
    for window in WINDOWS:
        for tolerance in TOLERANCES:
            one = ddim(STEPS, window=window, tolerance=tolerance)
            name = f"DDIM {STEPS}, window {window}, tolerance {tolerance}"
            chosen[name] = Candidate("grid", one)
    rows, _ = scored_strategies.rows(evaluator, chosen, flags.images, flags.repeats, flags.cache)
    for name, row in rows.items():
        row |= passes(evaluator, chosen[name].strategy)
        print(f"{name}: FD {row['fd_base']:.1f}, {row['speedup']:.2f}x", flush=True)
    device = str(evaluator.pipe.device)
    document = {"images": flags.images, "device": device, "repeats": flags.repeats, "rows": rows}
    path = flags.out / "parallel_calls.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
