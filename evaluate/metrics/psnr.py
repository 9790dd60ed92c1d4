"""PSNR of each image to the unaccelerated one, in dB; 99 for equal images. The mean over images."""

from __future__ import annotations

import numpy as np

from evaluate.metrics.shared import paired
from evaluate.networks.base import Pixels

CAP = 99.0


def psnr(image: Pixels, base: Pixels) -> float:
    """Peak signal-to-noise ratio of two images in dB."""
    error = np.square(image.astype(np.float64) - base).mean()
    return min(CAP, float(10 * np.log10(255.0**2 / error))) if error else CAP


METRIC = paired.make("psnr", "PSNR, dB", "higher", None, lambda _: psnr, "", "{:.1f}")
