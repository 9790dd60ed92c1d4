"""Held-out features of baselines that ship with the bundled models.

Fewer steps of a solver give the same images everywhere. So a search of a bundled model in its usual
setting generates only the first part of a baseline's held-out images. If this machine generates
that part alike, the rest comes from the file. `python -m search.ship` makes the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accel.models.config import ModelConfig
from evaluate import array_files
from evaluate.extraction import ExtractedFeatures, ExtractionSpec
from evaluate.images.prompts import Prompts
from search.images.shared_cache import KEYS, LENGTH, keys, origin
from search.run_folder.inputs import Inputs
from strategies import Strategy
from strategies.data_files.places import sibling_folder

FOLDER = "baselines"
FEATURES, PAIRED, LOOKS = "features", "paired", "looks"
NEAR = 0.05  # Standard deviations of a feature that another machine's rounding does not come to.


def samples_path(name: str) -> Path:
    """The file of a bundled model."""
    return sibling_folder("zoo") / FOLDER / f"{name}.safetensors"


def pack(prompts: Prompts, samples: Mapping[str, ExtractedFeatures], origin: str) -> bytes:
    """Content of such a file.

    Args:
        prompts: prompts of all features.
        samples: features by digest of the strategy.
        origin: digest of their inputs, see `search.images.shared_cache.origin`.
    """
    raw = np.frombuffer(b"".join(map(bytes.fromhex, keys(prompts))), np.uint8)
    arrays: dict[str, NDArray[np.generic]] = {KEYS: raw.reshape(-1, LENGTH)}
    for digest, sample in samples.items():
        for name, rows in sample.features.items():
            arrays[f"{digest}.{FEATURES}.{name}"] = rows
        for name, values in sample.paired.items():
            arrays[f"{digest}.{PAIRED}.{name}"] = values.astype(np.float32)
        if sample.looks is not None:
            arrays[f"{digest}.{LOOKS}"] = sample.looks
    return array_files.pack_arrays(arrays, origin)


class ShippedSamples:
    """Features that ship with one model in one setting, for the prompts of one run.

    Args:
        config: settings of the model.
        inputs: inputs of the run.
        unaccelerated: the unaccelerated pipeline as a strategy.
    """

    def __init__(self, config: ModelConfig, inputs: Inputs, unaccelerated: Strategy) -> None:
        of = origin(config, inputs.weights, unaccelerated)
        self._arrays = array_files.unpack(samples_path(config.name), of) or {}
        there = [bytes(row).hex() for row in self._arrays.pop(KEYS, ())]
        prompts = inputs.prompts["heldout"]
        mine = keys(prompts.first(min(len(there), len(prompts.texts)))) if there else []
        alike = [one == other for one, other in zip(there, mine, strict=False)]
        self._count = alike.index(False) if False in alike else len(alike)
        self._trusted: dict[str, bool] = {}

    @property
    def digests(self) -> set[str]:
        """Digests of the strategies whose features ship."""
        return {name.partition(".")[0] for name in self._arrays} if self._count else set()

    def part(
        self, digest: str, start: int, end: int, reading: ExtractionSpec, first: ExtractedFeatures
    ) -> ExtractedFeatures | None:
        """Features of prompts `start` to `end`, or None if the images have to be generated.

        Args:
            digest: digest of the strategy.
            start: number of the first prompt.
            end: number of the prompt after the last.
            reading: features that are asked for; neither memory nor thumbnails ship.
            first: features of its first prompts, as this machine has generated them.
        """
        if end > self._count or digest not in self.digests:
            return None
        if digest not in self._trusted:
            self._trusted[digest] = self._is_alike(digest, first)
        return self._rows(digest, start, end, reading) if self._trusted[digest] else None

    def _is_alike(self, digest: str, first: ExtractedFeatures) -> bool:
        for name, mine in first.features.items():
            theirs = self._arrays.get(f"{digest}.{FEATURES}.{name}")
            if theirs is None or theirs.shape[1:] != mine.shape[1:]:
                return False
            scale = theirs.std(0, dtype=float) + 1e-6
            if (np.abs(theirs[: len(mine)] - mine) > NEAR * scale).any():
                return False
        return True

    def _rows(
        self, digest: str, start: int, end: int, reading: ExtractionSpec
    ) -> ExtractedFeatures | None:
        def find(kind: str, names: Iterable[str]) -> dict[str, NDArray[np.generic]]:
            return {n: self._arrays[f"{digest}.{kind}.{n}"][start:end] for n in names}

        try:
            features, paired = find(FEATURES, reading.networks), find(PAIRED, reading.pairs)
        except KeyError:  # Something is asked that does not ship.
            return None
        looks = self._arrays.get(f"{digest}.{LOOKS}")
        return ExtractedFeatures(
            end - start,
            {name: rows.astype(np.float32) for name, rows in features.items()},
            {name: values.astype(np.float64) for name, values in paired.items()},
            looks=None if looks is None else looks[start:end],
        )
