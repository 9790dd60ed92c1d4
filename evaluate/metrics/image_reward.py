"""ImageReward: the mean reward of image and prompt (Xu et al., 2023, 2304.05977)."""

from __future__ import annotations

from evaluate.image_set import ImageSet
from evaluate.metrics.shared.base import Metric, ReferenceKind, mean_of
from evaluate.statistics.distances import WeightedStatistic


def prepare(side: ImageSet, _: ImageSet | None, __: ReferenceKind) -> WeightedStatistic:
    """The mean over images."""
    return mean_of(side.features("image-reward"))


METRIC = Metric(
    "image-reward", "ImageReward", "higher", "image-reward", prepare, ("alone",), "2304.05977",
    "DaTo (in its published search)", form="{:.3f}", margin=0.05,
)  # fmt: skip
