"""The feature network and the judge of portraits: as for shapes, with more pixels per step."""

from __future__ import annotations

from zoo.networks import FeatureNet, JudgeNet
from zoo.portraits.data import LABELS

CONVOLUTIONS = (
    (3, 64, 4, 4),
    (64, 96, 3, 1),
    (96, 96, 3, 2),
    (96, 128, 3, 1),
)


def features() -> FeatureNet:
    """Feature network without training, for images of 64 x 64."""
    return FeatureNet(LABELS, CONVOLUTIONS)


def judge() -> JudgeNet:
    """Judge without training, which sees the image in tiles of one cell."""
    return JudgeNet(LABELS, width=64, kernel=4, stride=4)
