"""Shared part of metrics that compare pixels: each image with the unaccelerated one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from evaluate.image_set import ImageSet
from evaluate.metrics.shared.base import Compare, Metric, ReferenceKind, mean_of, other
from evaluate.networks import Networks
from evaluate.networks.base import Pixels, frames_of
from evaluate.statistics.distances import WeightedStatistic


def make(
    name: str,
    title: str,
    better: Literal["lower", "higher"],
    network: str | None,
    compare: Compare,
    paper: str,
    form: str,
    video: bool = False,
    scale: float | None = None,
) -> Metric:
    """A mean over pairs of images; the value of two videos is the mean over their frames.

    A side without images has the values of its pairs, which were computed when it was generated.
    """

    def by_frame(networks: Networks) -> Callable[[Pixels, Pixels], float]:
        value = compare(networks)
        if video:
            return value
        return lambda image, base: float(
            np.mean([value(*pair) for pair in zip(frames_of(image), frames_of(base), strict=True)])
        )

    def prepare(side: ImageSet, against: ImageSet | None, _: ReferenceKind) -> WeightedStatistic:
        if name in side.paired:
            return mean_of(side.paired[name])
        value = by_frame(side.networks or Networks())
        pairs = zip(side.images(), other(against).images(), strict=True)
        return mean_of(np.array([value(image, base) for image, base in pairs]))

    return Metric(
        name,
        title,
        better,
        network,
        prepare,
        ("base",),
        paper,
        form=form,
        compare=by_frame,
        video=video,
        scale=scale,
    )
