"""Every transformer method on tiny-pixart: distance to the unaccelerated images against latency.

    python -m benchmarks run transformer_quality
    python -m benchmarks run transformer_quality --methods deltacache fora  # and fewer steps
    python -m benchmarks run transformer_quality --run runs/NAME  # with the front of a search

25 DDIM steps with the knobs of the papers, and fewer steps of DDIM and DPM++, on held-out prompts.
FD and PSNR with 95 % intervals; latency end to end, of one image on one thread, all strategies in
turns, medians. `at_equal_latency` has for every strategy and every other group the best by FD of
those that are no slower, and what FD and PSNR differ, with paired intervals. Images and turns are
kept in `--cache`, so the same command continues where it was stopped. Writes
`benchmarks/results/transformer_quality.json`, or with `--methods` a file with their names.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from benchmarks.quality import scored_strategies
from benchmarks.quality.scored_strategies import BASELINE, Rows
from evaluate import Evaluator, scoring
from evaluate.speed.timing import device_name
from evaluate.statistics.bootstrap import paired_bootstrap
from strategies.methods.deltacache import DeltaCache
from strategies.methods.fora import FORA
from strategies.methods.toca import ToCa

INTERVALS = (2, 3, 4, 5, 7)
STEPS = (20, 15, 12, 10, 8, 6, 5, 4)


def settings(calls: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Knobs by method and name of the row, as the papers have them."""
    found: dict[str, dict[str, dict[str, Any]]] = {
        "fora": {f"fora N={n}": {"fora": FORA.published(calls, n)} for n in INTERVALS},
        "deltacache": {
            f"deltacache N={n}, depth {depth}": {"deltacache": DeltaCache.uniform(calls, n, depth)}
            for n in INTERVALS
            for depth in (0, 1, "skip")
        },
        "cat": {
            f"cat alpha={alpha} start={start}": {"cat": {"alpha": alpha, "start": start}}
            for alpha in (0.2, 0.3, 0.5, 0.8)
            for start in (3, 7)
        },
        "atedm": {
            f"atedm alpha={alpha} start=7": {"atedm": {"alpha": alpha, "start": 7}}
            for alpha in (0.3, 0.5, 0.8)
        },
        "toca": {
            f"toca interval=3 {score}": {
                "toca": ToCa.published(calls, 3, 0.07).model_copy(update={"score": score})
            }
            for score in ("change", "attention")
        },
        "tgate": {
            f"tgate gate={gate}": {"tgate": {"gate": gate, "self_interval": 5}} for gate in (8, 12)
        },
    }
    noise = {"alpha": 0.3, "start": 7, "position_in_score": False}
    found["cat"]["cat alpha=0.3 start=7, ranked by noise alone"] = {"cat": noise}
    return found


def at_equal_latency(
    rows: Rows, functions: Mapping[str, scoring.MetricFunctions], images: int
) -> dict[str, Any]:
    """Best of each other group that is no slower, for every strategy, and the differences."""
    groups = sorted({row["group"] for row in rows.values()} - {BASELINE})
    found: dict[str, Any] = {}
    for name, row in rows.items():
        for group in groups:
            faster = [
                other
                for other, one in rows.items()
                if one["group"] == group and one["seconds"] <= row["seconds"]
            ]
            if group == row["group"] or not faster or name == BASELINE:
                continue
            best = min(faster, key=lambda other: rows[other]["fd_base"])
            entry: dict[str, Any] = {"name": best}
            for metric in ("fd_base", "psnr"):
                mine, theirs = functions[name][metric], functions[best][metric]

                def difference(weights: Any, mine: Any = mine, theirs: Any = theirs) -> float:
                    return float(mine(weights) - theirs(weights))

                biased = metric == "fd_base"
                entry[metric] = paired_bootstrap(difference, images, biased=biased).to_json()
            found.setdefault(name, {})[group] = entry
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--methods", nargs="+", choices=[*settings(25)], help="default: all")
    parser.add_argument("--run", type=Path, help="a finished search, whose front is included")
    parser.add_argument("--cache", type=Path, default=Path("runs/transformer-quality"))
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model("tiny-pixart"))
    plain = evaluator.unaccelerated
    knobs = settings(plain.calls)
    asked = {name: knobs[name] for name in flags.methods or knobs}
    chosen = scored_strategies.methods_alone(plain, asked, STEPS)
    scored_strategies.add_front(chosen, flags.run)
    rows, functions = scored_strategies.rows(
        evaluator, chosen, flags.images, flags.repeats, flags.cache
    )
    for name, row in rows.items():
        kept = {key: round(row[key], 3) for key in ("fd_base", "psnr", "speedup")}
        print(name, kept, flush=True)
    document = {
        "device": device_name(evaluator.pipe),
        "images": flags.images,
        "repeats": flags.repeats,
        "rows": rows,
        "at_equal_latency": at_equal_latency(rows, functions, flags.images),
    }
    target = RESULTS / f"{'-'.join(['transformer_quality', *(flags.methods or ())])}.json"
    target.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
