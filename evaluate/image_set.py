"""One side of a comparison: images, and what networks say of them when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluate.networks import Networks
from evaluate.networks.base import Pixels
from evaluate.statistics.gaussian import ScoreError, Statistics


@dataclass
class Side:
    """Images of a strategy, or of a reference.

    Attributes:
        name: for messages.
        count: of images; 0 where only statistics are known.
        image: the i-th one, RGB `[h, w, 3]`; None where only features are known.
        texts: their prompts, where each has one.
        networks: where features come from.
        known: features by network, filled as they are asked for: float32 `[n, d]`.
        paired: by metric, what each image is beside the unaccelerated one, `[n]`.
        gaussians: statistics by network.
        memory: what metrics have computed of this side alone, by metric.
    """

    name: str
    count: int
    image: Callable[[int], Pixels] | None = None
    texts: Sequence[str] | None = None
    networks: Networks | None = None
    known: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    paired: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    gaussians: dict[str, Statistics] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    def features(self, network: str) -> NDArray[np.float32]:
        """What a network says of each image.

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

    def statistics(self, network: str) -> Statistics:
        """Mean and scatter of a network's features."""
        if network not in self.gaussians:
            self.gaussians[network] = Statistics.of(self.features(network))
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
