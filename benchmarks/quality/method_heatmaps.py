"""One picture per method: what each part of the denoiser computes at each call, counted.

    python -m benchmarks run method_figures                 # all methods, into docs/figures/

The bundled models draw one image with a typical setting of the method; every cell is the
multiply-accumulates that a part of a block ran at a call, as a share of what it runs unaccelerated
(torch's FlopCounterMode). Used by `docs/methods.md`.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray

import accel
import zoo
from accel import change_curves
from accel.models.loading import quiet
from accel.profiling import flop_counter
from accel.solvers import schedulers
from benchmarks.entry import FOLDER
from strategies import Strategy
from strategies.methods.blockcache import BlockCache

matplotlib.use("Agg")
from matplotlib import pyplot as plt

CALLS = 20
THIRD = [call % 3 == 0 for call in range(CALLS)]
EARLY = [1.0] * 6
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "deepcache": (
        "tiny-sd",
        {"deepcache": {"depth": ["full" if now else 1 for now in THIRD]}},
    ),
    "dato": (
        "tiny-sd",
        {
            "deepcache": {"depth": ["full" if now else 1 for now in THIRD]},
            "dato": {"ratio": [0.0, 0.0, *[0.5] * (CALLS - 2)]},
        },
    ),
    "tome": ("tiny-sd", {"tome": {"ratio": [0.5] * CALLS}}),
    "catome": (
        "tiny-sd",
        {"catome": {"threshold": [0.7] * CALLS, "checkpoints": [0, 4, 8, 12, 16]}},
    ),
    "tgate": ("tiny-sd", {"tgate": {"gate": 8}}),
    "blockcache": ("tiny-sd", {}),
    "fora": ("tiny-pixart", {"fora": {"attn": THIRD, "cross": THIRD, "mlp": THIRD}}),
    "cat": ("tiny-pixart", {"cat": {"alpha": [*EARLY, *[0.3] * (CALLS - 6)], "start": 6}}),
    "atedm": ("tiny-pixart", {"atedm": {"alpha": [*EARLY, *[0.5] * (CALLS - 6)], "start": 6}}),
    "toca": ("tiny-pixart", {"toca": {"ratio": [1.0 if now else 0.2 for now in THIRD]}}),
}
KINDS = {
    "resnets": "convolutions",
    "attn1": "self-attention",
    "attn2": "cross-attention",
    "ff": "feed-forward",
}
PROMPT = "a large red circle on the left on a plain dark background"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "methods", nargs="*", default=[], metavar="METHOD", help=", ".join(SETTINGS)
    )
    parser.add_argument("--out", type=Path, default=FOLDER.parent / "docs/figures")
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    flags.out.mkdir(parents=True, exist_ok=True)
    for name in flags.methods or SETTINGS:
        model, methods = SETTINGS[name]
        pipe = zoo.load(model)
        pipe.set_progress_bar_config(disable=True)
        if name == "blockcache":
            methods = {"blockcache": calibrated(pipe, model)}
        shares, rows = measured(pipe, model, methods)
        draw(shares, rows, flags.out / f"{name}.png")
        print(f"{name}: {shares[1].sum() / shares[0].sum():.3f} of the work", flush=True)


def calibrated(pipe: Any, model: str) -> BlockCache:
    """Block Caching planned from the change of its blocks on the prompt."""
    scheduler, pipe.scheduler = pipe.scheduler, schedulers.make(pipe.scheduler, "DDIMScheduler")
    try:
        curves = change_curves(pipe, [lambda: generate(pipe, model)])
    finally:
        pipe.scheduler = scheduler
    return BlockCache.from_curves(curves, 0.2)


def strategy(model: str, methods: dict[str, Any]) -> Strategy:
    family = "unet" if model == "tiny-sd" else "dit"
    return Strategy.create(
        family=family, scheduler="DDIMScheduler", steps=CALLS, calls=CALLS, methods=methods
    )


def generate(pipe: Any, model: str) -> None:
    seeded = torch.Generator().manual_seed(0)
    pipe(PROMPT, num_inference_steps=CALLS, generator=seeded, **zoo.MODELS[model])


def measured(
    pipe: Any, model: str, methods: dict[str, Any]
) -> tuple[NDArray[np.float64], list[tuple[str, str]]]:
    """Work, unaccelerated and with the methods, `[2, rows, calls]`, and the rows."""
    found = [counted(pipe, model, strategy(model, given)) for given in ({}, methods)]
    rows = list(dict.fromkeys(row for call in found[0] for row in call))
    return np.array([[[call.get(r, 0) for call in one] for r in rows] for one in found]), rows


def counted(pipe: Any, model: str, one: Strategy) -> list[dict[tuple[str, str], int]]:
    """Work of every call, by block and part."""
    totals: list[dict[tuple[str, str], int]] = [{}]
    with (
        accel.accelerated(pipe, one, set_scheduler=True),
        flop_counter() as counter,
    ):
        step = pipe.scheduler.step

        def stepped(*args: Any, **kwargs: Any) -> Any:
            totals.append(by_part(counter.get_flop_counts()))
            return step(*args, **kwargs)

        pipe.scheduler.step = stepped
        try:
            generate(pipe, model)
        finally:
            del pipe.scheduler.step
    return [
        {row: now[row] - before.get(row, 0) for row in now}
        for before, now in itertools.pairwise(totals)
    ]


def by_part(counts: dict[str, dict[Any, int]]) -> dict[tuple[str, str], int]:
    """Sums of the modules that are parts of blocks."""
    found: dict[tuple[str, str], int] = {}
    for name, ops in counts.items():
        parts = name.split(".")[1:]
        if not parts:
            continue
        length = 1 if parts[0] == "mid_block" else 2
        block, inside = ".".join(parts[:length]), parts[length:]
        kind = next((k for k in KINDS if k in inside), None)
        # A part itself, not what is inside of it.
        whole = kind is not None and inside.index(kind) == len(inside) - (kind == "resnets") - 1
        if kind is None or not whole:
            continue
        row = block, KINDS[kind]
        found[row] = found.get(row, 0) + sum(ops.values())
    return found


def draw(shares: NDArray[np.float64], rows: list[tuple[str, str]], target: Path) -> None:
    order = {kind: place for place, kind in enumerate(KINDS.values())}
    blocks = list(dict.fromkeys(block for block, _ in rows))
    chosen = sorted(range(len(rows)), key=lambda i: (blocks.index(rows[i][0]), order[rows[i][1]]))
    values = shares[1][chosen] / np.maximum(shares[0][chosen], 1)
    figure, axes = plt.subplots(figsize=(6.4, 0.5 + 0.15 * len(rows)), layout="constrained")
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    names = [rows[i] for i in chosen]
    axes.set_yticks(range(len(names)), [f"{block} {kind}" for block, kind in names], fontsize=6)
    axes.set_xticks(range(0, values.shape[1], 2))
    axes.set_xlabel("call")
    figure.colorbar(image, label="share of the work that is done")
    figure.savefig(target, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
