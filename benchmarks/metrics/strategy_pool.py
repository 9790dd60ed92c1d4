"""Draw a pool of images of many strategies, for measurements that resample it.

    python -m benchmarks run pool tiny-sd --out runs/pool --images 512

30 strategies spread from fast to faithful: fewer steps of two solvers, and on top of them reused
calls. Images are drawn in blocks, all strategies in turn, so that a pool that was stopped is
even, and the same command goes on with it. One file per strategy and block holds images, features
and caption accuracies. Used by `metrics/metric_ranking.py` and by the slow test of the intervals.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from accel.models.loading import quiet
from accel.solvers import schedulers
from evaluate import Evaluator, read_model
from evaluate.images.prompts import Prompts
from strategies import Strategy
from zoo.data import GROUPS

BLOCK = 64
DDIM, DPM = "DDIMScheduler", "DPMSolverMultistepScheduler"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=512, help="held-out prompts of each")
    parser.add_argument("--search-images", type=int, default=128, help="search prompts of each")
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model(flags.model))
    folder = flags.out / flags.model
    folder.mkdir(parents=True, exist_ok=True)
    chosen = {"unaccelerated": evaluator.unaccelerated, **spread(evaluator)}
    for split, count in (("search", flags.search_images), ("heldout", flags.images)):
        for start in range(0, count, BLOCK):
            for name, strategy in chosen.items():
                path = folder / f"{name}-{split}-{start:05d}.safetensors"
                if not path.exists():
                    draw(evaluator, strategy, split, start, path)
            print(f"{flags.model} {split} {start + BLOCK}", flush=True)


def draw(evaluator: Evaluator, strategy: Strategy, split: str, start: int, path: Path) -> None:
    everything = evaluator.prompts[split]  # type: ignore[index]
    part = Prompts(everything.texts[start : start + BLOCK], everything.seeds[start : start + BLOCK])
    side = evaluator.generate("pool", strategy, part)
    tensors: dict[str, NDArray[Any]] = {
        "features": side.features("bundled"),
        "images": np.stack(list(side.images())),
    }
    right = side.features("judge")
    tensors |= {f"right_{name}": right[:, i].copy() for i, name in enumerate(GROUPS)}
    save_file(tensors, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def spread(evaluator: Evaluator) -> dict[str, Strategy]:
    """30 strategies: solver x steps, each plain and with two degrees of reuse on top."""
    family = evaluator.unaccelerated.family
    found = {}
    for solver, steps in [
        *((DDIM, n) for n in (6, 8, 12, 16, 20)),
        *((DPM, n) for n in (5, 7, 9, 12, 16)),
    ]:
        calls = schedulers.count_calls(evaluator.pipe.scheduler, solver, steps)
        for label, every in (("plain", 1), ("half", 2), ("third", 3)):
            found[f"{solver[:3]}-{steps}-{label}"] = Strategy.create(
                family=family,
                scheduler=solver,
                steps=steps,
                calls=calls,
                methods=reuse(family, calls, every),
            )
    return found


def reuse(family: str, calls: int, every: int) -> dict[str, dict[str, object]]:
    """Every so many calls in full, the others reused: DeepCache on UNets, FORA on transformers."""
    fresh = [call % every == 0 for call in range(calls)]
    if all(fresh):
        return {}
    if family == "unet":
        return {"deepcache": {"depth": ["full" if full else 1 for full in fresh]}}
    return {"fora": {"attn": fresh, "cross": fresh, "mlp": fresh}}


if __name__ == "__main__":
    main()
