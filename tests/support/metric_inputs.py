"""Sets of random images for tests of metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from evaluate.image_set import ImageSet
from evaluate.metrics import METRICS
from evaluate.metrics.shared.base import ReferenceKind
from evaluate.networks import Networks
from tests.support.weight_writers import WORDS, WRITERS

NETWORKED = sorted(WRITERS)


def pictures(count: int, seed: int = 0, size: int = 40) -> list[Any]:
    """Smooth random images, each of its own size."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        found.append(np.array(small.resize((size + index % 3, size + 2 * (index % 2)), 3)))
    return found


def side(count: int = 6, seed: int = 0, networks: Networks | None = None) -> ImageSet:
    images = pictures(count, seed)
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, 3)) for _ in images]
    return ImageSet("images", count, images.__getitem__, texts, networks or Networks(batch=4))


def value(name: str, mine: ImageSet, other: ImageSet | None, view: ReferenceKind) -> float:
    return METRICS[name].prepare(mine, other, view)(np.ones(mine.count))
