"""A few-step LoRA and what strategies add to it, compared with the guided model.

    python -m zoo.distill tiny-sd --out runs/lora
    python -m search --model tiny-sd --lora runs/lora --few-steps hyper-sd:4 --out runs/few-steps
    python -m benchmarks run few_step_lora --lora runs/lora --run runs/few-steps

The guided model makes 25 DDIM steps. The same model and the fused LoRA make four trailing DDIM
steps, and fewer. The strategies are those of the front of a search; `--guided-run` adds those of a
search of the guided model. Distances are to the guided model's images of the same prompts and
noise, in sets of `--images` prompts. A row has the values of all sets. Writes
`benchmarks/results/few_step_lora.json` and `docs/figures/few-step-lora.png`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.ticker import FixedLocator, NullLocator

import accel
import zoo
from accel.models.loading import quiet
from accel.models.resolve import open_model
from benchmarks.entry import FOLDER, RESULTS
from evaluate import frechet_from_features, kid_from_features
from evaluate.metrics.psnr import psnr
from evaluate.speed.timing import device_name
from search.results.plots.style import BLUE, GREEN, VERMILION, styled
from search.results.run import load_run
from strategies import Strategy
from zoo import data, distill, judging, networks, networks_folder
from zoo.subjects import SHAPES

GUIDED = "guided, 25 steps"
MODEL = "tiny-sd"
SEED = 31
FIGURE = FOLDER.parent / "docs/figures/few-step-lora.png"


@dataclass(frozen=True)
class Setting:
    """A pipeline with the arguments of its call.

    Attributes:
        pipe: the pipeline.
        steps: number of steps.
        guidance: guidance scale; 1 for none.
        strategy: what accelerates it, if anything does.
    """

    pipe: Any
    steps: int
    guidance: float = 1.0
    strategy: Strategy | None = None

    def applied(self) -> AbstractContextManager[Any]:
        """Context in which the strategy acts."""
        if self.strategy is None:
            return nullcontext()
        return accel.accelerated(self.pipe, self.strategy, set_scheduler=True)

    @torch.inference_mode()
    def images(self, captions: list[str], seed: int) -> torch.Tensor:
        """Images `[n, 3, h, w]` in [0, 1], made inside `applied`."""
        generators = [torch.Generator().manual_seed(seed + i) for i in range(len(captions))]
        found: torch.Tensor = self.pipe(
            captions, num_inference_steps=self.steps, guidance_scale=self.guidance,
            generator=generators, output_type="pt",
        ).images  # fmt: skip
        return found.float()


def accelerated(model: str, pipe: Any, guidance: float, run: Path | None) -> dict[str, Setting]:
    """Strategies of a search's front, by name, fastest first."""
    found = {}
    for number, point in enumerate([] if run is None else load_run(run).front(), 1):
        one = point.strategy
        words = f"{model}, {one.steps} steps, {', '.join(one.methods) or 'no method'}, {number}"
        found[words] = Setting(pipe, one.steps, guidance, one)
    return found


def settings(lora: Path, run: Path | None, guided_run: Path | None) -> dict[str, Setting]:
    """Everything that is compared, by name; the guided model first."""
    plain, short = zoo.load(MODEL), zoo.load(MODEL)
    short.scheduler = distill.trailing(short.scheduler, 4)
    added = {"path": str(lora), "fuse": True}
    student, _ = open_model(MODEL, "cpu", False, None, {"loras": [added]})
    student.scheduler = distill.trailing(student.scheduler, 4)
    found = {
        GUIDED: Setting(plain, 25, 5.0),
        "guided, 4 steps": Setting(short, 4, 5.0),
        "not guided, 4 steps": Setting(short, 4),
        "LoRA, 4 steps": Setting(student, 4),
        "LoRA, 3 steps": Setting(student, 3),
        "LoRA, 2 steps": Setting(student, 2),
    }
    found |= accelerated("LoRA", student, 1.0, run)
    found |= accelerated("guided", zoo.load(MODEL), 5.0, guided_run)
    for setting in found.values():
        setting.pipe.set_progress_bar_config(disable=True)
    return found


def scores(
    chosen: Mapping[str, Setting], sets: int, count: int, batch: int
) -> dict[str, dict[str, list[float]]]:
    """Distances of every setting to the first one, and right answers, on each set of prompts."""
    folder = networks_folder(SHAPES.name)
    features = networks.load_network(SHAPES.features, folder / "features.safetensors")
    judge = networks.load_network(SHAPES.judge, folder / "judge.safetensors")
    found: dict[str, dict[str, list[float]]] = {name: {} for name in chosen}
    for number in range(sets):
        captions = list(data.sample(count, SEED + number).captions)
        base: tuple[Any, Any] | None = None
        for name, one in chosen.items():
            with one.applied():
                parts = [
                    one.images(captions[start : start + batch], 1000 * number + start)
                    for start in range(0, count, batch)
                ]
            drawn = torch.cat(parts)
            with torch.inference_mode():
                rows = features.features(drawn).numpy()
            pixels = (drawn * 255).round().numpy()
            base = base or (rows, pixels)
            right = judging.right(judge, drawn, captions)
            values = {
                "fd": frechet_from_features(rows, base[0]),
                "kd": kid_from_features(rows, base[0]),
                "psnr": float(np.mean([psnr(a, b) for a, b in zip(pixels, base[1], strict=True)])),
                "right": 100 * float(torch.stack(list(right.values())).nanmean()),
            }
            for key, value in values.items():
                found[name].setdefault(key, []).append(value)
            print(f"set {number}, {name}: FD {values['fd']:.2f}", flush=True)
    return found


def seconds(chosen: Mapping[str, Setting], repeats: int) -> dict[str, float]:
    """Median seconds of one image with each setting, in alternation."""
    taken: dict[str, list[float]] = {name: [] for name in chosen}
    caption = list(data.sample(1, SEED).captions)
    for turn in range(repeats + 1):
        for name, one in chosen.items():
            with one.applied():
                began = time.perf_counter()
                one.images(caption, 0)
                ended = time.perf_counter()
            if turn:  # The first one warms up.
                taken[name].append(ended - began)
    return {name: median(values) for name, values in taken.items()}


def main() -> None:
    """Generate, compare and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lora", type=Path, required=True, help="folder of the LoRA")
    parser.add_argument("--run", type=Path, help="folder of a search with it")
    parser.add_argument("--guided-run", type=Path, help="folder of a search without it")
    parser.add_argument("--sets", type=int, default=5, help="sets of prompts")
    parser.add_argument("--images", type=int, default=64, help="prompts of a set")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=9, help="times that each image is timed")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--figure", type=Path, default=FIGURE)
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    chosen = settings(flags.lora, flags.run, flags.guided_run)
    times = seconds(chosen, flags.repeats)
    scored = scores(chosen, flags.sets, flags.images, flags.batch)
    rows = {
        name: {key: sorted(values) for key, values in scored[name].items()}
        | {"speedup": times[GUIDED] / times[name]}
        for name in chosen
    }
    document = {
        "device": device_name(next(iter(chosen.values())).pipe),
        "images": flags.images, "sets": flags.sets, "rows": rows,
    }  # fmt: skip
    path = flags.out / "few_step_lora.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    plot(document, flags.figure)


def plot(document: Mapping[str, Any], path: Path) -> None:
    """Draw FD against speedup, for the guided model and for the LoRA."""
    kinds = {"guided": (BLUE, "o"), "LoRA": (VERMILION, "s"), "not guided": (GREEN, "^")}
    with styled():
        figure, axes = plt.subplots(figsize=(4.2, 3.2), layout="constrained")
        for kind, (colour, marker) in kinds.items():
            marks = [
                (row["speedup"], median(row["fd"]))
                for name, row in document["rows"].items()
                if name.startswith(f"{kind},") and name != GUIDED
            ]
            xs, ys = zip(*marks, strict=True)
            axes.scatter(xs, ys, s=22, c=colour, marker=marker, label=kind)
        axes.set(xscale="log", yscale="log", xlabel="speedup", ylabel="FD to 25 guided steps")
        axes.xaxis.set_major_locator(FixedLocator([2, 4, 8, 16]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}x")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.legend()
        figure.savefig(path)
        plt.close(figure)


if __name__ == "__main__":
    main()
