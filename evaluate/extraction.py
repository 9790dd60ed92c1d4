"""What is left of images once they are drawn: features and figures per image, not the images.

A reading says what is taken from every image. It is plain data, so that a worker, which draws the
images, can be told, and what it sends back does not grow with their size. Of a few images it may
ask for small copies, to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluate.image_set import Side
from evaluate.images.appearance import NUMBERS, Looks, look
from evaluate.images.thumbnails import encode
from evaluate.metrics import METRICS, Metric
from evaluate.networks import Networks
from evaluate.networks.base import Pixels


@dataclass(frozen=True)
class Reading:
    """What is taken from every image.

    Attributes:
        networks: whose features.
        pairs: metrics that compare its pixels with the unaccelerated image's.
        memory: whether the peak of one generation is measured, too.
        thumbnails: of so many images, the first ones, small copies are kept.
    """

    networks: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    memory: bool = False
    thumbnails: int = 0

    @classmethod
    def of(cls, metrics: Iterable[Metric], memory: bool = False) -> Reading:
        """What some metrics read."""
        rows = list(metrics)
        networks = dict.fromkeys(m.network for m in rows if m.network and m.compare is None)
        return cls(tuple(networks), tuple(m.name for m in rows if m.compare is not None), memory)


@dataclass(frozen=True)
class Sample:
    """What is left of n images of one strategy.

    Attributes:
        count: n.
        features: by network, float32 `[n, d]`.
        paired: by metric, what each image is beside the unaccelerated one, float64 `[n]`.
        memory: bytes at the highest moment of one generation, where it was measured.
        thumbnails: PNG files of the first images (`evaluate.images.thumbnails`), if asked for.
        looks: looks of each image as a whole (`evaluate.images.appearance`), or None.
    """

    count: int
    features: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    paired: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    memory: int | None = None
    thumbnails: tuple[bytes, ...] = ()
    looks: Looks | None = None

    def side(self) -> Side:
        """As one side of a comparison."""
        known = dict(self.features)
        return Side("the sample", self.count, known=known, paired=dict(self.paired))

    def first(self, count: int) -> Sample:
        """What is left of the first so many images."""
        features = {name: rows[:count] for name, rows in self.features.items()}
        paired = {name: rows[:count] for name, rows in self.paired.items()}
        kept = self.thumbnails[:count]
        looks = None if self.looks is None else self.looks[:count]
        return Sample(min(count, self.count), features, paired, self.memory, kept, looks)

    def followed_by(self, other: Sample) -> Sample:
        """Both together, the other on the prompts that follow."""
        looks = None
        if self.looks is not None and other.looks is not None:
            looks = np.concatenate([self.looks, other.looks])
        return Sample(
            self.count + other.count,
            {name: np.concatenate([v, other.features[name]]) for name, v in self.features.items()},
            {name: np.concatenate([v, other.paired[name]]) for name, v in self.paired.items()},
            self.memory if other.memory is None else other.memory,
            self.thumbnails + other.thumbnails,
            looks,
        )


def take(
    batches: Iterable[Sequence[Pixels]],
    texts: Sequence[str],
    reading: Reading,
    networks: Networks,
    unaccelerated: Iterator[Pixels] | None = None,
) -> Sample:
    """Read images as they come, batch by batch; none is kept.

    Args:
        batches: of images.
        texts: their prompts.
        reading: what is taken; not the memory, which is no image's.
        networks: where features come from.
        unaccelerated: the images of the same prompts and noise, where pixels are compared.
    """
    features: dict[str, list[NDArray[np.float32]]] = {name: [] for name in reading.networks}
    paired: dict[str, list[float]] = {name: [] for name in reading.pairs}
    thumbnails: list[bytes] = []
    looks: list[list[int]] = []
    compare = {}
    for name in reading.pairs:
        how = METRICS[name].compare
        assert how is not None
        compare[name] = how(networks)
    done = 0
    for images in batches:
        captions = texts[done : done + len(images)]
        for name, rows in features.items():
            rows.append(networks.extract(name, images, captions))
        for image in images if compare else ():
            assert unaccelerated is not None
            base = next(unaccelerated)
            for name, value in compare.items():
                paired[name].append(value(image, base))
        looks += map(look, images)
        thumbnails += map(encode, images[: max(0, reading.thumbnails - done)])
        done += len(images)
    return Sample(
        done,
        {name: np.concatenate(rows) for name, rows in features.items()},
        {name: np.array(values) for name, values in paired.items()},
        thumbnails=tuple(thumbnails),
        looks=np.array(looks, np.int32).reshape(-1, NUMBERS),
    )
