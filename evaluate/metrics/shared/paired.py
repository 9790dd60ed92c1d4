"""Shared part of metrics that compare pixels: each image with the unaccelerated one."""

from __future__ import annotations

from typing import Literal

import numpy as np

from evaluate.image_set import Side
from evaluate.metrics.shared.base import Compare, Metric, View, mean_of, other
from evaluate.networks import Networks
from evaluate.statistics.distances import Statistic


def make(
    name: str,
    title: str,
    better: Literal["lower", "higher"],
    network: str | None,
    compare: Compare,
    paper: str,
    form: str,
) -> Metric:
    """A mean over pairs of images.

    A side without images has the values of its pairs, which were computed when it was generated.
    """

    def prepare(side: Side, against: Side | None, _: View) -> Statistic:
        if name in side.paired:
            return mean_of(side.paired[name])
        value = compare(side.networks or Networks())
        pairs = zip(side.images(), other(against).images(), strict=True)
        return mean_of(np.array([value(image, base) for image, base in pairs]))

    return Metric(
        name, title, better, network, prepare, ("base",), paper, form=form, compare=compare
    )
