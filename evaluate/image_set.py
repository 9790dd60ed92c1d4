"""One side of a comparison: images and their features, computed on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluate.networks import Networks
from evaluate.networks.base import Pixels
from evaluate.statistics.gaussian import GaussianStatistics, ScoreError


@dataclass
class ImageSet:
    """Images of a strategy, or of a reference.

    Attributes:
        name: name for messages.
        count: number of images; 0 if only statistics are known.
        image: function from an index to the image, RGB `[h, w, 3]`; None if only features are
            known.
        texts: prompt of each image, if there are prompts.
        networks: networks of the features.
        known: features by network, added on request: float32 `[n, d]`.
        paired: comparison of each image with the unaccelerated one by metric, `[n]`.
        gaussians: statistics by network.
        memory: results that metrics have computed from this side alone, by metric.
    """

    name: str
    count: int
    image: Callable[[int], Pixels] | None = None
    texts: Sequence[str] | None = None
    networks: Networks | None = None
    known: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    paired: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    gaussians: dict[str, GaussianStatistics] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    def features(self, network: str) -> NDArray[np.float32]:
        """Features of each image by a network.

        Raises:
            ScoreError: only statistics are known, or the features of another network.
        """
        if network not in self.known:
            if self.image is None or self.networks is None:
                there = ", ".join([*self.known, *self.gaussians]) or "nothing"
                raise ScoreError(
                    f"{self.name} has no images to take {network} features of; it has {there}. "
                    "Give a folder of images as reference, or choose other metrics"
                )
            self.known[network] = self.networks.extract(network, self.images(), self.texts)
        return self.known[network]

    def statistics(self, network: str) -> GaussianStatistics:
        """Mean and scatter of a network's features."""
        if network not in self.gaussians:
            self.gaussians[network] = GaussianStatistics.of(self.features(network))
        return self.gaussians[network]

    def images(self) -> Iterator[Pixels]:
        """Every image.

        Raises:
            ScoreError: only features or statistics are known.
        """
        if self.image is None:
            raise ScoreError(f"{self.name} has no images")
        for index in range(self.count):
            yield self.image(index)
