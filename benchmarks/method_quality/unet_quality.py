"""Every UNet method alone on tiny-portraits, at three settings: quality and measured latency.

    python -m benchmarks run unet_quality
    python -m benchmarks run unet_quality --methods catome  # and fewer steps
    python -m benchmarks run unet_quality --run runs/NAME  # with the front of a search

25 DDIM steps, and fewer steps of DDIM and DPM++ without a method, on held-out prompts. `catome` is
there with the checkpoints of the paper's Table II as well, taken over from 51 calls to 25. Right
answers, FD and PSNR with 95 % intervals; latency end to end, of one image on one thread, all
strategies in turns, medians. `at_equal_latency` has for every strategy and every other group the
best by FD of those that are no slower, and what FD and PSNR differ, with paired intervals. Images
and turns are kept in `--cache`, so the same command continues. `--picture` saves the first images
of the unaccelerated model, and below those of the rows in `--shown`. Writes
`benchmarks/results/unet_quality-MODEL.json`, or with `--methods` a file with their names.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

import strategies
from accel.models.config import read_model
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from benchmarks.method_quality.transformer_quality import at_equal_latency
from benchmarks.quality import scored_strategies
from benchmarks.quality.no_loss import picture
from benchmarks.quality.scored_strategies import BASELINE, Candidate
from evaluate import Evaluator
from evaluate.speed.timing import device_name
from search.initial.uniform import uniform_depths
from strategies import Strategy
from strategies.methods.guidance import Guidance

COLUMNS = 8  # Of the picture.
SHARES = (0.3, 0.5, 0.7)
STEPS = (15, 12, 10, 8, 6, 5)
TABLE_II = [f"catome-{name}" for name in ("config-1", "config-2", "config-3", "config-4",
                                          "adaptive", "five")]  # fmt: skip


def settings(calls: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Knobs by method and name of the row: three intervals, ratios, thresholds or shares."""
    every_second = [call % 2 == 0 for call in range(calls)]
    return {
        "deepcache": {
            f"deepcache N={n}": {"deepcache": {"depth": uniform_depths(n, calls, 1)}}
            for n in (2, 3, 5)
        },
        "blockcache": {"blockcache, every second call": {"blockcache": {"compute": every_second}}},
        "tome": {f"tome {ratio}": {"tome": {"ratio": ratio}} for ratio in SHARES},
        "dato": {f"dato {ratio}": {"dato": {"ratio": ratio}} for ratio in SHARES},
        "catome": {
            f"catome {threshold}": {"catome": {"threshold": threshold, "checkpoints": "all"}}
            for threshold in (0.9, 0.8, 0.7)
        },
        "tgate": {f"tgate gate={gate}": {"tgate": {"gate": gate}} for gate in (8, 12, 16)},
        "guidance": {
            f"guidance up to {share:.0%} of the calls": {"guidance": Guidance.gate(calls, share)}
            for share in (0.8, 0.6, 0.4)
        },
    }


def table_ii(plain: Strategy) -> dict[str, Candidate]:
    """CA-ToMe's published checkpoints at the solver and steps of the unaccelerated model."""
    return {
        f"catome, Table II, {name.removeprefix('catome-')}": Candidate(
            "Table II",
            strategies.load(name).resample(steps=plain.steps, scheduler=plain.scheduler),
        )
        for name in TABLE_II
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-portraits", choices=("tiny-portraits", "tiny-sd"))
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--methods", nargs="+", choices=[*settings(25)], help="default: all")
    parser.add_argument("--run", type=Path, help="a finished search, whose front is included")
    parser.add_argument("--cache", type=Path, default=Path("runs/unet-quality"))
    parser.add_argument("--picture", type=Path, metavar="OUT.png")
    parser.add_argument("--shown", nargs="+", default=[], metavar="ROW", help="such as 'tome 0.5'")
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    evaluator = Evaluator(read_model(flags.model))
    plain = evaluator.unaccelerated
    knobs = settings(plain.calls)
    asked = {name: knobs[name] for name in flags.methods or knobs}
    chosen = scored_strategies.methods_alone(plain, asked, STEPS)
    if "catome" in asked:
        chosen |= table_ii(plain)
    scored_strategies.add_front(chosen, flags.run)
    if unknown := sorted({*flags.shown} - {*chosen}):
        parser.error(f"--shown {', '.join(unknown)}: no such rows; there are {', '.join(chosen)}")
    cache = flags.cache / flags.model
    rows, functions = scored_strategies.rows(evaluator, chosen, flags.images, flags.repeats, cache)
    if flags.picture:
        shown = {name: chosen[name] for name in (BASELINE, *flags.shown)}
        store = scored_strategies.image_store(evaluator, cache)
        sides = scored_strategies.generated(evaluator, shown, COLUMNS, store)
        picture([*sides.values()], COLUMNS, zoom=2).save(flags.picture)
    for name, row in rows.items():
        kept = {key: round(row[key], 3) for key in ("fd_base", "psnr", "speedup") if key in row}
        print(name, kept, flush=True)
    document = {
        "device": device_name(evaluator.pipe),
        "images": flags.images,
        "repeats": flags.repeats,
        "rows": rows,
        "at_equal_latency": at_equal_latency(rows, functions, flags.images)
        if flags.repeats
        else {},
    }
    name = "-".join(["unet_quality", flags.model, *(flags.methods or ())])
    target = RESULTS / f"{name}.json"
    target.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
