"""Edge error: how far edges and fine detail move from those of the unaccelerated image."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluate.metrics.shared import paired

WORST = 32.0  # Levels between neighbouring pixels, beyond which detail is gone.


def edge_error(image: Any, base: Any) -> float:
    """Mean absolute difference of the gradients of two images, in levels of 255.

    Args:
        image, base: RGB images of one size, uint8 `[h, w, 3]`.
    """
    parts = [
        np.abs(np.diff(image.astype(float), axis=axis) - np.diff(base.astype(float), axis=axis))
        for axis in (0, 1)
    ]
    return float(np.mean([part.mean() for part in parts]))


METRIC = paired.make(
    "edge-error", "edge error", "lower", None, lambda networks: edge_error, "", "{:.2f}",
    scale=WORST,
)  # fmt: skip
