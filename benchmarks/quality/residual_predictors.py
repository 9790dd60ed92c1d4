"""Forecasts of the residual that `deltacache` adds, compared at equal schedules on tiny-pixart.

    python -m benchmarks run predictors
    python -m benchmarks run predictors --images 16 --schedules "N=5, depth 0"

25 DDIM steps; uniform schedules and cache-dit's masks. All predictors of a schedule compute at the
same calls, so they take the same time but for the forecast itself, which is timed as well. Each of
five disjoint sets of held-out prompts gives FD and PSNR to its own unaccelerated images; the
intervals are Student's over the five paired differences to the best of the orders 0 to 2. Writes
`benchmarks/results/predictors.json` after every row.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import torch

from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from benchmarks.quality.predictors import PREDICTORS, predicting
from evaluate import Evaluator, scoring
from evaluate.evaluator import real_images
from evaluate.image_set import ImageSet
from evaluate.metrics import ReferenceKind, select_metrics
from evaluate.speed.timing import device_name
from strategies import Strategy
from strategies.data_files.whole import write
from strategies.methods.deltacache import DeltaCache

SETS = 5
STUDENT = 2.776  # Of four degrees of freedom, at 95 %.
FIGURES = ("fd_base", "psnr")


def schedules(calls: int) -> dict[str, DeltaCache]:
    """Schedules by name."""
    found = {
        f"N={every}, depth {depth}": DeltaCache.uniform(calls, every, depth)
        for every in (2, 3, 5)
        for depth in (0, 1)
    }
    for name in ("fast", "ultra"):
        found[f"cache-dit {name}"] = DeltaCache.masked(calls, name)
    return found


def scored(evaluator: Evaluator, strategies: Mapping[str, Strategy], images: int) -> Any:
    """Figures and seconds of one image, of each set, by schedule and predictor."""
    metrics = select_metrics(["fd", "psnr"], "shapes")
    real: dict[ReferenceKind, ImageSet] = {"real": real_images()}
    rows: dict[str, Any] = {name: {one: [] for one in PREDICTORS} for name in strategies}
    for number in range(SETS):
        prompts = evaluator.prompts["heldout"].at(range(number * images, (number + 1) * images))
        base = evaluator.generate("unaccelerated", evaluator.unaccelerated, prompts)
        for name, one in strategies.items():
            for label, predictor in PREDICTORS.items():
                began = time.process_time()
                with predicting(predictor):
                    sample = evaluator.generate(label, one, prompts)
                seconds = (time.process_time() - began) / images
                figures = scoring.statistics(sample, base, real, metrics)
                values = scoring.full_scores(figures, images)
                row = {key: values[key] for key in FIGURES} | {"seconds": seconds}
                rows[name][label].append(row)
                print(number, name, label, {k: round(v, 4) for k, v in row.items()}, flush=True)
        yield rows


def compared(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Means of every predictor, and its paired differences in FD to the best order."""
    orders = [name for name in rows if name.startswith("order ")]
    means = {name: mean(one["fd_base"] for one in sets) for name, sets in rows.items()}
    best = min(orders, key=lambda name: means[name])
    found: dict[str, Any] = {"best order": best}
    for name, sets in rows.items():
        row: dict[str, Any] = {key: mean(one[key] for one in sets) for key in (*FIGURES, "seconds")}
        pairs = zip(sets, rows[best], strict=True)
        apart = [one["fd_base"] - other["fd_base"] for one, other in pairs]
        if name != best and len(apart) > 1:
            half = STUDENT * stdev(apart) / len(apart) ** 0.5 if len(apart) == SETS else None
            row["fd_difference"] = mean(apart)
            if half is not None:
                row["interval"] = [mean(apart) - half, mean(apart) + half]
        found[name] = row
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64, help="prompts of each of the five sets")
    parser.add_argument("--schedules", nargs="+", help="only these")
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model("tiny-pixart"))
    plain = evaluator.unaccelerated.to_json()
    chosen = {
        name: Strategy.create(**plain | {"methods": {"deltacache": knobs}})
        for name, knobs in schedules(evaluator.unaccelerated.calls).items()
        if flags.schedules is None or name in flags.schedules
    }
    for rows in scored(evaluator, chosen, flags.images):
        document = {
            "device": device_name(evaluator.pipe),
            "images": flags.images,
            "sets": len(next(iter(next(iter(rows.values())).values()))),
            "full_calls": {
                name: one.methods["deltacache"].depth.count("full")  # type: ignore[attr-defined]
                for name, one in chosen.items()
            },
            "rows": {name: compared(one) for name, one in rows.items()},
        }
        write(json.dumps(document, indent=2) + "\n", RESULTS / "predictors.json")


if __name__ == "__main__":
    main()
