"""The numbers of one strategy: what a `Sample` says beside the unaccelerated one's."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluate.confidence import Indices, paired_bootstrap
from evaluate.distances import frechet_from_features, kid_from_features
from evaluate.sample import Sample

Features = NDArray[np.float32]
PSNR_CAP = 99.0


def score(sample: Sample, baseline: Sample, real: Features) -> dict[str, float]:
    """Every quality figure of a strategy.

    Args:
        sample: of the strategy.
        baseline: of the unaccelerated pipeline on the same prompts and noise.
        real: features of real images, `[m, d]`.

    Returns:
        `fd_real`, `kid_real` to real images and `fd_base`, `kid_base` to the unaccelerated
        pipeline's; `feature_error`, the mean squared feature distance to the unaccelerated image
        of the same prompt as a share of the features' variance; `psnr` in dB, capped at 99; and
        `right_<label>`, caption accuracy, where a judge knows the data.

    Raises:
        ScoreError: too few images, or broken features.
    """
    error = np.square(sample.features - baseline.features).sum(1).mean()
    scores = {
        "fd_real": frechet_from_features(sample.features, real),
        "kid_real": kid_from_features(sample.features, real),
        "fd_base": frechet_from_features(sample.features, baseline.features),
        "kid_base": kid_from_features(sample.features, baseline.features),
        "feature_error": float(error / baseline.features.var(0).sum()),
        "psnr": float(psnr(sample.images, baseline.images).mean()),
    }
    return scores | {f"right_{name}": float(v.mean()) for name, v in sample.right.items()}


def psnr(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of each pair in dB, capped at 99 for equal images: `[n]`."""
    error = np.square(images.astype(np.float64) - others).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        ratio: NDArray[np.float64] = 10 * np.log10(255.0**2 / error)
    return np.minimum(PSNR_CAP, ratio)


def intervals(sample: Sample, baseline: Sample, real: Features) -> dict[str, list[float]]:
    """95 % intervals, paired over prompts, as `[value, low, high]`.

    Returns:
        `fd_base`, and the differences to the unaccelerated pipeline `fd_real_change` and
        `right_<label>_change`.
    """
    count = len(sample.features)

    def change(rows: Indices) -> float:
        mine = frechet_from_features(sample.features[rows], real)
        return mine - frechet_from_features(baseline.features[rows], real)

    def distance(rows: Indices) -> float:
        return frechet_from_features(sample.features[rows], baseline.features[rows])

    found: dict[str, Any] = {
        "fd_real_change": paired_bootstrap(change, count).to_json(),
        "fd_base": paired_bootstrap(distance, count).to_json(),
    }
    for name, values in sample.right.items():
        difference = values - baseline.right[name]
        mean = functools.partial(_mean, difference)
        found[f"right_{name}_change"] = paired_bootstrap(mean, count).to_json()
    return found


def _mean(values: NDArray[np.float32], rows: Indices) -> float:
    return float(values[rows].mean())
