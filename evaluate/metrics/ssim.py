"""SSIM of each image to the unaccelerated one (Wang et al., 2004), by torchmetrics.

A Gaussian window of 11 pixels; images smaller than that are refused.
"""

from __future__ import annotations

import numpy as np

from evaluate.metrics.shared import paired
from evaluate.networks.base import Pixels
from evaluate.statistics.gaussian import ScoreError

WINDOW = 11


def ssim(image: Pixels, base: Pixels) -> float:
    """Structural similarity of two images, at most 1.

    Raises:
        ScoreError: smaller than the window.
    """
    if min(image.shape[:2]) < WINDOW:
        raise ScoreError(f"SSIM needs images of at least {WINDOW} pixels, not {image.shape[:2]}")
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    one, two = (torch.from_numpy(i.astype(np.float64) / 255) for i in (image, base))
    found = structural_similarity_index_measure(
        one.movedim(-1, 0)[None], two.movedim(-1, 0)[None], data_range=1.0
    )
    assert isinstance(found, torch.Tensor)
    return float(found)


METRIC = paired.make(
    "ssim", "SSIM", "higher", None, lambda _: ssim, "10.1109/TIP.2003.819861", "{:.3f}"
)
