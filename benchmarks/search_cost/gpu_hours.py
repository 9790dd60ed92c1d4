"""GPU hours of a search of published models, computed from measured rates: nothing is run.

    python -m benchmarks run gpu_hours runs/seed-0 runs/seed-1

Recorded runs tell how slow their proposals are, as a share of the unaccelerated pipeline, and how
many of them are promoted. Stored benchmarks tell the seconds of a call of a model on a GPU in its
batch. The hours of a search are the product of the images of all rungs, the calls of an image, the
seconds of a call and the share. The part of the budget for measuring and final scoring is added.
Writes `benchmarks/results/gpu_hours.json`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from accel.models.config import read_model
from benchmarks.entry import RESULTS
from search import config as configuration
from search.costs.budget_plan import PROPOSALS
from search.proposers.successive_halving import REDUCTION
from search.results import run as runs

EVALUATIONS = (100, 300, 1000)
MODELS = ("sd15", "sdxl")
# Seconds of an image of FLUX.1-dev on an H100, 50 steps at 1024 pixels, as cache-dit publishes it.
PUBLISHED = {"flux-dev": (9.30, "NVIDIA H100, published by cache-dit 1.5.3")}


@dataclass(frozen=True)
class Rate:
    """Seconds of one unaccelerated image while images are scored, and where it is from."""

    seconds: float
    source: str


def measured(model: str) -> Rate:
    """Rate of a model by the stored benchmark of the sampler on a GPU, its largest batch."""
    path = RESULTS / f"sampler-{model}-gpu.json"
    data = json.loads(path.read_text("utf-8"))
    setting = data["settings"]
    batch = max(size for size in setting["batches"] if f"batch_{size}" in data)
    call = data[f"batch_{batch}"]["unmodified"]["seconds"] / setting["calls"] / batch
    return Rate(call * read_model(model).steps, f"{data['device']}, {path.name}, batch {batch}")


def share(folder: Path) -> float:
    """Mean latency of the images that proposals took, as a share of the unaccelerated one."""
    run = runs.load_run(folder)
    below = dict(zip(run.config.ladder, (0, *run.config.ladder), strict=False))
    good = [one for one in run.study.evaluations if one.succeeded]
    images = [one.images - below[one.images] for one in good]
    weighted = sum(n / one.scores["speedup"] for n, one in zip(images, good, strict=True))
    return weighted / sum(images)


def images(evaluations: int, ladder: tuple[int, ...]) -> float:
    """Number of images of so many evaluations on two rungs."""
    first, whole = ladder
    promoted = evaluations / (1 + REDUCTION)
    return (evaluations - promoted) * first + promoted * (whole - first)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of searches")
    flags = parser.parse_args(arguments)
    shares = [share(folder) for folder in flags.runs]
    rates = {model: measured(model) for model in MODELS}
    rates |= {model: Rate(*one) for model, one in PUBLISHED.items()}
    rows: list[dict[str, Any]] = []
    for model, rate in rates.items():
        ladder = configuration.resolve(model, {}).ladder
        row: dict[str, Any] = {
            "model": model,
            "seconds_of_an_image": round(rate.seconds, 3),
            "from": rate.source,
            "rungs": ",".join(map(str, ladder)),
        }
        for count in EVALUATIONS:
            seconds = images(count, ladder) * rate.seconds * median(shares)
            row[f"hours_{count}"] = round(seconds / PROPOSALS / 3600, 2)
        rows.append(row)
    found = {
        "computed": True,
        "runs": len(shares),
        "share": round(median(shares), 3),
        "shares": [round(min(shares), 3), round(fmean(shares), 3), round(max(shares), 3)],
        "rows": rows,
    }
    target = RESULTS / "gpu_hours.json"
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
