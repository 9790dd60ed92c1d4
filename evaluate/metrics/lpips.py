"""LPIPS of each image to the unaccelerated one (Zhang et al., 2018, 1801.03924), with AlexNet."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from evaluate.distances import Statistic
from evaluate.metrics.base import Metric, View, mean_of, other
from evaluate.networks.base import Pixels
from evaluate.side import Side


def _tensor(image: Pixels) -> Tensor:
    return torch.from_numpy(image).movedim(-1, 0)[None].float() / 255


@torch.inference_mode()
def prepare(side: Side, against: Side | None, _: View) -> Statistic:
    """The mean over pairs."""
    assert side.networks is not None
    distance = side.networks.load("lpips")
    pairs = zip(side.images(), other(against).images(), strict=True)
    found = [distance(_tensor(image), _tensor(base)) for image, base in pairs]
    return mean_of(np.array([float(value) for value in found]))


METRIC = Metric(
    "lpips", "LPIPS", "lower", "lpips", prepare, ("base",), "1801.03924", "",
    form="{:.3f}",
)  # fmt: skip
