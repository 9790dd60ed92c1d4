"""Features kept in a run's folder: unaccelerated ones, and those of candidates that may continue.

They only save generating images again. Features are generated again if they are missing, damaged by
a kill, of other inputs, or lack something that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from evaluate import array_files
from evaluate.extraction import ExtractedFeatures, ExtractionSpec
from search.study.evaluation import Evaluation
from strategies.data_files import whole

FEATURES, PAIRED, MEMORY, LOOKS = "features.", "paired.", "memory", "looks"


def features_path(folder: Path, digest: str, images: int) -> Path:
    """File of a candidate's features of `images` images."""
    return folder / f"{digest}-{images}.safetensors"


def remove_features(path: Path) -> None:
    """Remove features that no request continues any more.

    Raises:
        UnwritableError: the file cannot be removed.
    """
    with whole.refusing(path):
        path.unlink(missing_ok=True)


def remove_leftovers(folder: Path, evaluations: Iterable[Evaluation]) -> None:
    """Remove features that a kill has left of candidates that were then scored on more images.

    Args:
        folder: folder of the features.
        evaluations: all finished evaluations.
    """
    reached: dict[str, int] = {}
    for one in evaluations:
        digest = one.strategy.digest
        reached[digest] = max(one.images, reached.get(digest, 0))
    for path in sorted(folder.glob("*-*.safetensors")):
        digest, _, images = path.stem.rpartition("-")
        if reached.get(digest, 0) > int(images):
            remove_features(path)


def write(sample: ExtractedFeatures, path: Path, origin: str = "") -> None:
    """Write features to a file; afterwards it holds all of them, or is as before.

    Args:
        sample: features to keep.
        path: path of the file.
        origin: digest of the inputs that they come from, see `evaluate.array_files`.

    Raises:
        UnwritableError: the file cannot be written.
    """
    tensors: dict[str, Any] = {f"{FEATURES}{name}": v for name, v in sample.features.items()}
    tensors |= {f"{PAIRED}{name}": values for name, values in sample.paired.items()}
    if sample.memory is not None:
        tensors[MEMORY] = np.array([sample.memory], np.int64)
    if sample.looks is not None:
        tensors[LOOKS] = sample.looks
    whole.make_folder(path.parent)
    whole.write(array_files.pack_arrays(tensors, origin), path)


def read_features(
    path: Path, count: int, reading: ExtractionSpec, origin: str = "", unsigned: bool = False
) -> ExtractedFeatures | None:
    """Kept features of exactly `count` images with all that a reading asks for, or None.

    Args:
        path: path of the file.
        count: number of images.
        reading: features that are asked for.
        origin: digest of the inputs that they have to come from.
        unsigned: whether a file without such a digest counts, too.
    """
    found = longest(path, reading, origin, unsigned)
    return found if found is not None and found.count == count else None


def count_kept(path: Path) -> int:
    """Images of a stored sample; 0 where there is none that can be read."""
    try:
        with safe_open(path, "np") as file:
            names = [name for name in file.keys() if name != MEMORY]  # noqa: SIM118
            return min((file.get_slice(name).get_shape()[0] for name in names), default=0)
    except (OSError, SafetensorError):
        return 0


def longest(
    path: Path, reading: ExtractionSpec, origin: str = "", unsigned: bool = False
) -> ExtractedFeatures | None:
    """Kept features of any number of images with all that a reading asks for, or None.

    Args:
        path: path of the file.
        reading: features that are asked for.
        origin: digest of the inputs that they have to come from.
        unsigned: whether a file without such a digest counts, too.
    """
    tensors = array_files.unpack(path, origin, unsigned)
    if tensors is None:
        return None
    images = next((len(rows) for name, rows in tensors.items() if name != MEMORY), 0)
    try:
        found = ExtractedFeatures(
            images,
            {name: tensors[f"{FEATURES}{name}"] for name in reading.networks},
            {name: tensors[f"{PAIRED}{name}"] for name in reading.pairs},
            int(tensors[MEMORY][0]) if reading.memory else None,
            looks=tensors.get(LOOKS),
        )
    except KeyError:
        return None
    lengths = {len(rows) for rows in found.features.values()}
    lengths |= {len(rows) for rows in found.paired.values()}
    lengths |= set() if found.looks is None else {len(found.looks)}
    return found if lengths == {images} else None
