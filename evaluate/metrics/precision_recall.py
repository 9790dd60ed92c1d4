"""Precision and recall of manifolds (Kynkaanniemi et al., 2019, 1904.06991), over Inception.

A set's manifold is the union of balls around its features, each as far as the third neighbour.
Precision is the share of images inside the reference's manifold, recall the share of the reference
inside the images'. Both sides need thousands of images for the paper's meaning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluate.image_set import ImageSet
from evaluate.metrics.shared.base import SETS, Metric, ReferenceKind, mean_of, other
from evaluate.statistics.distances import WeightedStatistic, Weights
from evaluate.statistics.gaussian import ScoreError, checked_features

NEIGHBOURS = 3
BOUNDS = (0.0, 1.0)
CHUNK = 1024
NETWORK = "inception"


def radii(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each row to its third neighbour, `[n]`.

    Raises:
        ScoreError: fewer than 4 rows.
    """
    if len(features) <= NEIGHBOURS:
        raise ScoreError(f"{len(features)} images have no third neighbour; at least 4 are needed")
    import torch

    rows = torch.from_numpy(features)
    found = [
        torch.cdist(part, rows).kthvalue(NEIGHBOURS + 1, dim=1).values for part in rows.split(CHUNK)
    ]
    return np.asarray(torch.cat(found).numpy())


def precision(side: ImageSet, against: ImageSet | None, _: ReferenceKind) -> WeightedStatistic:
    """The weighted share of images inside the reference's manifold."""
    import torch

    mine, real = (
        checked_features(side.features(NETWORK)),
        checked_features(other(against).features(NETWORK)),
    )
    reach, there = torch.from_numpy(radii(real)), torch.from_numpy(real)
    parts = torch.from_numpy(mine).split(CHUNK)
    inside = torch.cat([(torch.cdist(part, there) <= reach).any(1) for part in parts])
    return mean_of(inside.numpy().astype(np.float64), BOUNDS)


def recall(side: ImageSet, against: ImageSet | None, _: ReferenceKind) -> WeightedStatistic:
    """The share of the reference inside the manifold of the images that count."""
    import torch

    mine, real = (
        checked_features(side.features(NETWORK)),
        checked_features(other(against).features(NETWORK)),
    )
    reach = torch.from_numpy(radii(mine))
    parts = torch.from_numpy(real).split(CHUNK)
    covers = torch.cat([torch.cdist(part, torch.from_numpy(mine)) <= reach for part in parts])
    table = covers.numpy()

    def value(weights: Weights) -> float:
        return float(table[:, weights > 0].any(1).mean())

    return value


PRECISION = Metric(
    "precision", "precision", "higher", NETWORK, precision, SETS[:2], "1904.06991",
    "DeepCache, FORA",
    biased=True, form="{:.3f}", bounds=BOUNDS, margin=0.02,
)  # fmt: skip
RECALL = Metric(
    "recall", "recall", "higher", NETWORK, recall, SETS[:2], "1904.06991",
    "DeepCache, FORA",
    biased=True, form="{:.3f}", margin=0.02,
)  # fmt: skip
