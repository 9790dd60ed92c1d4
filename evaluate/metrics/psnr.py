"""PSNR of each image to the unaccelerated one, in dB; 99 for equal images. The mean over images."""

from __future__ import annotations

import numpy as np

from evaluate.distances import Statistic
from evaluate.metrics.base import Metric, View, mean_of, other
from evaluate.networks.base import Pixels
from evaluate.side import Side

CAP = 99.0


def psnr(image: Pixels, base: Pixels) -> float:
    """Peak signal-to-noise ratio of two images in dB."""
    error = np.square(image.astype(np.float64) - base).mean()
    return min(CAP, float(10 * np.log10(255.0**2 / error))) if error else CAP


def prepare(side: Side, against: Side | None, _: View) -> Statistic:
    """The mean over pairs."""
    pairs = zip(side.images(), other(against).images(), strict=True)
    return mean_of(np.array([psnr(image, base) for image, base in pairs]))


METRIC = Metric(
    "psnr", "PSNR, dB", "higher", None, prepare, ("base",), "",
    "", form="{:.1f}",
)  # fmt: skip
