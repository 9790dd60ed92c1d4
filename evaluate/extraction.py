"""Feature extraction: everything that is kept of generated images.

A reading says what is extracted from every image. It is plain data, so that it can be sent to a
worker. The result does not grow with the size of the images. It may contain small copies of a few
images to look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluate.image_set import ImageSet
from evaluate.images.appearance import NUMBERS, Looks, appearance_of
from evaluate.metrics import METRICS, Metric
from evaluate.networks import Networks
from evaluate.networks.base import Pixels


@dataclass(frozen=True)
class ExtractionSpec:
    """Specification of an extraction.

    Attributes:
        networks: networks whose features are extracted.
        pairs: metrics that compare an image's pixels with the unaccelerated image's.
        memory: whether to measure the peak memory of one generation, too.
        thumbnails: number of images, from the first on, of which small copies are kept.
    """

    networks: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    memory: bool = False
    thumbnails: int = 0

    @classmethod
    def of(cls, metrics: Iterable[Metric], memory: bool = False) -> ExtractionSpec:
        """The reading that some metrics need."""
        rows = list(metrics)
        networks = dict.fromkeys(m.network for m in rows if m.network and m.compare is None)
        return cls(tuple(networks), tuple(m.name for m in rows if m.compare is not None), memory)


@dataclass(frozen=True)
class ExtractedFeatures:
    """Extracted features of n images of one strategy.

    Attributes:
        count: n.
        features: features by network, float32 `[n, d]`.
        paired: comparison of each image with the unaccelerated one by metric, float64 `[n]`.
        memory: peak bytes of one generation, if measured.
        thumbnails: PNG files of the first images (`evaluate.images.thumbnails`), if asked for.
        looks: looks of each image as a whole (`evaluate.images.appearance`), or None.
    """

    count: int
    features: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    paired: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    memory: int | None = None
    thumbnails: tuple[bytes, ...] = ()
    looks: Looks | None = None

    def side(self) -> ImageSet:
        """These images as one side of a comparison."""
        known = dict(self.features)
        return ImageSet("the sample", self.count, known=known, paired=dict(self.paired))

    def first(self, count: int) -> ExtractedFeatures:
        """Features of the first `count` images."""
        features = {name: rows[:count] for name, rows in self.features.items()}
        paired = {name: rows[:count] for name, rows in self.paired.items()}
        kept = self.thumbnails[:count]
        looks = None if self.looks is None else self.looks[:count]
        return ExtractedFeatures(min(count, self.count), features, paired, self.memory, kept, looks)

    def concatenate(self, other: ExtractedFeatures) -> ExtractedFeatures:
        """Features of both sets, the other's prompts after these."""
        looks = None
        if self.looks is not None and other.looks is not None:
            looks = np.concatenate([self.looks, other.looks])
        return ExtractedFeatures(
            self.count + other.count,
            {name: np.concatenate([v, other.features[name]]) for name, v in self.features.items()},
            {name: np.concatenate([v, other.paired[name]]) for name, v in self.paired.items()},
            self.memory if other.memory is None else other.memory,
            self.thumbnails + other.thumbnails,
            looks,
        )


def extract(
    batches: Iterable[Sequence[Pixels]],
    texts: Sequence[str],
    reading: ExtractionSpec,
    networks: Networks,
    unaccelerated: Iterator[Pixels] | None = None,
) -> ExtractedFeatures:
    """Extract features of images batch by batch, without keeping the images.

    Args:
        batches: batches of images.
        texts: prompt of each image.
        reading: features to extract; memory is not measured here.
        networks: networks of the features.
        unaccelerated: unaccelerated images of the same prompts and noise, if pixels are compared.
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
        looks += map(appearance_of, images)
        thumbnails += _encoded(images[: max(0, reading.thumbnails - done)])
        done += len(images)
    return ExtractedFeatures(
        done,
        {name: np.concatenate(rows) for name, rows in features.items()},
        {name: np.array(values) for name, values in paired.items()},
        thumbnails=tuple(thumbnails),
        looks=np.array(looks, np.int32).reshape(-1, NUMBERS),
    )


def _encoded(images: Sequence[Pixels]) -> Iterable[bytes]:
    from evaluate.images.thumbnails import encode_thumbnail  # Reading a run needs no images.

    return map(encode_thumbnail, images)
