"""A picture of held-out prompts: the unaccelerated model above, a strategy below.

python benchmarks/side_by_side.py examples/tiny-sd-lossless.json docs/tiny-sd-lossless.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from accel.models import quiet
from evaluate import Evaluator, read_model
from strategies import load
from zoo.card import grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("strategy", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--images", type=int, default=12)
    flags = parser.parse_args()
    quiet()
    evaluator = Evaluator(read_model("tiny-sd"))
    chosen = evaluator.prompts["heldout"].first(flags.images)
    rows = [
        np.stack(list(evaluator.draw("row", strategy, chosen).images()))
        for strategy in (evaluator.baseline, load(flags.strategy))
    ]
    images = torch.cat([torch.from_numpy(row).permute(0, 3, 1, 2) for row in rows]) / 255
    grid(images, columns=flags.images, zoom=2).save(flags.picture)


if __name__ == "__main__":
    main()
