"""Verdicts of strategies on many held-out prompts, and a picture of one.

    python -m benchmarks run no_loss FILE|PRESET ... --images 384 --picture OUT.png

Draws the unaccelerated tiny-sd and every strategy on the same prompts and noise, and prints one
line for each: the verdict with its reasons, by the metrics of `python -m evaluate`, and on how many
images the judge sees another shape or colour than on the unaccelerated image. With `--picture`, the
first strategy that passes, and on whose first images no shape or colour differs, is drawn below the
unaccelerated images. Writes `benchmarks/results/no_loss.json`. What is drawn is kept in `--out`, so
the same command goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import zoo
from accel.models.loading import quiet
from benchmarks.entry import RESULTS
from evaluate import Evaluator, read_model, scoring, verdicts
from evaluate.evaluator import real_images
from evaluate.image_set import ImageSet
from evaluate.images.image_store import ImageStore, model_fingerprint
from evaluate.metrics import ReferenceKind, default_metrics
from strategies import Strategy, load
from zoo import data, networks
from zoo.card import grid

KINDS = ("shape1", "shape2", "colour1", "colour2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strategies", nargs="+", metavar="FILE|PRESET")
    parser.add_argument("--images", type=int, default=384)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("runs/no-loss"))
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    config = read_model("tiny-sd")
    evaluator = Evaluator(config)
    prompts = evaluator.prompts["heldout"].first(flags.images)
    store = ImageStore(flags.out, model_fingerprint(config.source))

    def draw(name: str, strategy: Strategy) -> ImageSet:
        print(f"drawing {name}", flush=True)
        return store.generate(
            name, evaluator.pipe, config, strategy, prompts, evaluator.networks, lambda *_: None
        )

    base = draw("unaccelerated", evaluator.unaccelerated)
    rows = []
    for name in flags.strategies:
        strategy = load(name)
        mine = draw(name, strategy)
        row = {"name": name, "digest": strategy.digest, **compare(mine, base)}
        rows.append(row)
        print(json.dumps(row), flush=True)
        told = {"model": config.name, "images": flags.images, "rows": rows}
        text = json.dumps(told, indent=1) + "\n"
        (RESULTS / "no_loss.json").write_text(text, encoding="utf-8")
        shown_alike = not differs(mine, base)[: flags.columns].any()
        if flags.picture and row["verdict"]["answer"] == "yes" and shown_alike:
            picture([base, mine], flags.columns).save(flags.picture)
            print(f"{name} is drawn in {flags.picture}")
            break


def compare(mine: ImageSet, base: ImageSet) -> dict[str, Any]:
    """The verdict, what it is of, and on how many images shape or colour differ."""
    metrics = default_metrics("shapes")[0]
    references: dict[ReferenceKind, ImageSet] = {"real": real_images()}
    found = scoring.statistics(mine, base, references, metrics)
    there = scoring.statistics(base, base, references, metrics)
    intervals = scoring.intervals(found, there, metrics, mine.count)
    margins = verdicts.margins_of(metrics, list(found), {})
    verdict = verdicts.judge_changes(verdicts.changes_in(intervals), margins, mine.count)
    return {
        "psnr": scoring.full_scores(found, mine.count)["psnr"],
        "other_content": int(differs(mine, base).sum()),
        "verdict": verdict.to_json(),
        "intervals": intervals,
    }


def differs(mine: ImageSet, base: ImageSet) -> NDArray[np.bool_]:
    """On which images the judge sees another shape or colour than on the unaccelerated one."""
    return np.asarray((content(mine) != content(base)).any(1))


def content(side: ImageSet) -> NDArray[np.int64]:
    """Shapes and colours that the judge sees of the objects that the captions name, `[n, 4]`."""
    judge = networks.load_network(networks.JudgeNet, zoo.networks_folder() / "judge.safetensors")
    images = torch.from_numpy(np.stack(list(side.images()))).permute(0, 3, 1, 2).float() / 255
    assert side.texts is not None
    labels = np.stack([data.parse(text) for text in side.texts])
    with torch.inference_mode():
        seen = judge(images)
    columns = [list(data.LABELS).index(kind) for kind in KINDS]
    found = np.stack([seen[kind].argmax(-1).numpy() for kind in KINDS], axis=1)
    return np.where(labels[:, columns] >= 0, found, -1)


def picture(sides: Sequence[ImageSet], columns: int, zoom: int = 3) -> Image.Image:
    """The first images of each, a row each."""
    rows = [np.stack(list(side.images())[:columns]) for side in sides]
    images = torch.cat([torch.from_numpy(row).permute(0, 3, 1, 2) for row in rows]) / 255
    return grid(images, columns=columns, zoom=zoom)


if __name__ == "__main__":
    main()
