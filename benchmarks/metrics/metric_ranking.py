"""Agreement of each cheap metric on few images with the ranking by many images.

    python -m benchmarks run pool tiny-sd --out runs/pool
    python -m benchmarks run rungs tiny-sd --pool runs/pool

Kendall's tau of each figure on n search prompts against the Frechet distance on all held-out
prompts of the pool (to the unaccelerated images, and to real ones), over its strategies. With
common noise all strategies draw the same prompts from the same noise; without it each has prompts
of its own. Means over at most four disjoint blocks of prompts, or as many draws. Writes
`benchmarks/results/rungs-MODEL.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from scipy.stats import kendalltau

from benchmarks.entry import RESULTS
from evaluate.evaluator import real_images
from evaluate.metrics.psnr import psnr
from evaluate.statistics.distances import (
    cubic,
    frechet_paired,
    frechet_statistic,
    kernel_paired,
    kernel_statistic,
    kernel_within,
)

BASE = "unaccelerated"
SIZES = (8, 16, 32, 64, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--pool", type=Path, required=True)
    flags = parser.parse_args()
    pools = {split: read(flags.pool / flags.model, split) for split in ("search", "heldout")}
    search, heldout = pools["search"], pools["heldout"]
    names = [name for name in search if name != BASE]
    rows = np.arange(len(heldout[BASE]["features"]))
    figures = {name: functions(heldout[name], heldout[BASE]) for name in names}
    truth = {
        target: np.array([figures[name][target](rows) for name in names])
        for target in ("fd_base", "fd_real")
    }
    found = {
        "model": flags.model,
        "strategies": len(names),
        "heldout_images": len(rows),
        "fd_base_of_strategies": dict(zip(names, truth["fd_base"].round(2).tolist(), strict=True)),
        "common_noise": table(search, names, truth, common=True),
        "own_noise": table(search, names, truth, common=False),
    }
    target = RESULTS / f"rungs-{flags.model}.json"
    target.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for noise in ("common_noise", "own_noise"):
        print(noise)
        for row in found[noise]:
            print("  ", row)


def read(folder: Path, split: str) -> dict[str, dict[str, Any]]:
    """Every strategy's images and features, cut to what all of them have."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob(f"*-{split}-*.safetensors")):
        name = path.stem.rsplit(f"-{split}-", 1)[0]
        parts.setdefault(name, []).append(load_file(path))
    blocks = min(len(part) for part in parts.values())
    return {
        name: {key: np.concatenate([one[key] for one in part[:blocks]]) for key in part[0]}
        for name, part in parts.items()
    }


def functions(mine: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Each figure as a function of the images that are looked at; low is good."""
    real = real_images()
    a, b = mine["features"].astype(float), base["features"].astype(float)
    within = kernel_within(real.features("bundled"), cubic)
    spread = b.var(0).sum()

    def one(rows: Any) -> Any:
        return np.ones(len(rows))

    return {
        "feature error": lambda r: float(np.square(a[r] - b[r]).sum(1).mean() / spread),
        "PSNR": lambda r: -float(np.mean([psnr(mine["images"][i], base["images"][i]) for i in r])),
        "fd_base": lambda r: frechet_paired(a[r], b[r])(one(r)),
        "kd_base": lambda r: kernel_paired(a[r], b[r], cubic)(one(r)),
        "fd_real": lambda r: frechet_statistic(a[r], real.statistics("bundled"))(one(r)),
        "kd_real": lambda r: kernel_statistic(a[r], real.features("bundled"), cubic, within)(
            one(r)
        ),
    }


def table(
    pool: dict[str, dict[str, Any]], names: list[str], truth: dict[str, Any], common: bool
) -> list[dict[str, Any]]:
    """One row per figure and number of images: tau against both truths."""
    count = len(pool[BASE]["features"])
    figures = {name: functions(pool[name], pool[BASE]) for name in names}
    found = []
    for figure in figures[names[0]]:
        # With half of the prompts each and more, strategies would share most of them.
        for size in [size for size in SIZES if size <= (count if common else count // 2)]:
            taus: dict[str, list[float]] = {key: [] for key in truth}
            for turn in range(max(1, min(4, count // size))):
                rng = np.random.default_rng(turn)
                shared = np.arange(turn * size, (turn + 1) * size)
                values = [
                    figures[name][figure](shared if common else rng.permutation(count)[:size])
                    for name in names
                ]
                for key, target in truth.items():
                    taus[key].append(float(kendalltau(values, target).statistic))
            row = {f"tau_{key}": round(float(np.mean(found)), 3) for key, found in taus.items()}
            found.append({"figure": figure, "images": size, **row})
    return found


if __name__ == "__main__":
    main()
