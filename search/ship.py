"""The unaccelerated images of a bundled model, for `zoo/unaccelerated/`.

    python -m search.ship tiny-sd --search 32 --heldout 384

Draws the first prompts of both splits in the model's usual setting. `--out` keeps the images, so
that the same command goes on. To be run again whenever the model or its prompts change.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from accel.models import quiet
from evaluate.evaluator import Evaluator, Split
from evaluate.prompts import Prompts
from evaluate.store import Store, identity
from search import config
from search.images.shared_cache import origin, pack, shipped
from strategies import whole


def main() -> None:
    """Draw what is missing and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="tiny-sd")
    parser.add_argument("--search", type=int, default=32)
    parser.add_argument("--heldout", type=int, default=384)
    parser.add_argument("--out", type=Path, default=Path("runs/unaccelerated"))
    flags = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    settings = config.resolve(flags.model, {})
    evaluator = Evaluator(settings.model)
    store = Store(flags.out, identity(settings.model.source))
    sets: tuple[tuple[Split, int], ...] = (("search", flags.search), ("heldout", flags.heldout))
    prompts: list[Prompts] = []
    images = []
    for split, count in sets:
        prompts.append(evaluator.prompts[split].first(count))
        side = store.draw(
            split, evaluator.pipe, settings.model, evaluator.baseline, prompts[-1],
            evaluator.networks,
        )  # fmt: skip
        images += list(side.images())
    path = shipped(settings.model.name)
    whole.make_folder(path.parent)
    of = origin(settings.model, store.identity, evaluator.baseline)
    whole.write(pack(prompts, np.stack(images), of), path)
    print(f"{len(images)} images, {path.stat().st_size / 1024:.0f} KB: {path}")


if __name__ == "__main__":
    main()
