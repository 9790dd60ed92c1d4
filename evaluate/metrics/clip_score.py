"""CLIP score: 100 times the cosine of image and prompt, not below 0; the mean over images.

Hessel et al., 2021 (2104.08718), with ViT-B/32.
"""

from __future__ import annotations

from evaluate.image_set import ImageSet
from evaluate.metrics.shared.base import Metric, ReferenceKind, mean_of
from evaluate.statistics.distances import WeightedStatistic


def prepare(side: ImageSet, _: ImageSet | None, __: ReferenceKind) -> WeightedStatistic:
    """The mean over images."""
    return mean_of(side.features("clip-score"))


METRIC = Metric(
    "clip-score", "CLIP score", "higher", "clip-score", prepare, ("alone",), "2104.08718",
    "DeepCache", margin=0.2,
)  # fmt: skip
