"""Samples kept in a run's folder: the unaccelerated ones, and candidates' that may be continued.

They only save drawing again: a sample that is missing, torn by a kill, of other inputs, or without
something that is asked of it is drawn anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from evaluate import array_files
from evaluate.extraction import Reading, Sample
from search.study.evaluation import Evaluation
from strategies.data_files import whole

FEATURES, PAIRED, MEMORY, LOOKS = "features.", "paired.", "memory", "looks"


def place(folder: Path, digest: str, images: int) -> Path:
    """The file of a candidate's sample of so many images."""
    return folder / f"{digest}-{images}.safetensors"


def forget(path: Path) -> None:
    """Remove a sample that nothing goes on from any more.

    Raises:
        UnwritableError: it cannot be removed.
    """
    with whole.refusing(path):
        path.unlink(missing_ok=True)


def sweep(folder: Path, evaluations: Iterable[Evaluation]) -> None:
    """Remove the samples that a kill has left of candidates that were scored on more images since.

    Args:
        folder: of the samples.
        evaluations: all that finished.
    """
    reached: dict[str, int] = {}
    for one in evaluations:
        digest = one.strategy.digest
        reached[digest] = max(one.images, reached.get(digest, 0))
    for path in sorted(folder.glob("*-*.safetensors")):
        digest, _, images = path.stem.rpartition("-")
        if reached.get(digest, 0) > int(images):
            forget(path)


def write(sample: Sample, path: Path, origin: str = "") -> None:
    """Store a sample; there is the whole of it afterwards or none.

    Args:
        sample: to be kept.
        path: of its file.
        origin: what it was drawn from, see `evaluate.array_files`.

    Raises:
        UnwritableError: it cannot be written.
    """
    tensors: dict[str, Any] = {f"{FEATURES}{name}": v for name, v in sample.features.items()}
    tensors |= {f"{PAIRED}{name}": values for name, values in sample.paired.items()}
    if sample.memory is not None:
        tensors[MEMORY] = np.array([sample.memory], np.int64)
    if sample.looks is not None:
        tensors[LOOKS] = sample.looks
    whole.make_folder(path.parent)
    whole.write(array_files.pack(tensors, origin), path)


def read(
    path: Path, count: int, reading: Reading, origin: str = "", unsigned: bool = False
) -> Sample | None:
    """A stored sample of exactly so many images with all that a reading takes, or None.

    Args:
        path: of its file.
        count: of images.
        reading: what is asked of it.
        origin: what it has to have been drawn from.
        unsigned: also take one that does not say what it was drawn from.
    """
    found = longest(path, reading, origin, unsigned)
    return found if found is not None and found.count == count else None


def count(path: Path) -> int:
    """Images of a stored sample; 0 where there is none that can be read."""
    try:
        with safe_open(path, "np") as file:
            names = [name for name in file.keys() if name != MEMORY]  # noqa: SIM118
            return min((file.get_slice(name).get_shape()[0] for name in names), default=0)
    except (OSError, SafetensorError):
        return 0


def longest(
    path: Path, reading: Reading, origin: str = "", unsigned: bool = False
) -> Sample | None:
    """A stored sample with all that a reading takes, of however many images, or None.

    Args:
        path: of the file.
        reading: what is asked of it.
        origin: what it has to have been drawn from.
        unsigned: also take one that does not say what it was drawn from.
    """
    tensors = array_files.unpack(path, origin, unsigned)
    if tensors is None:
        return None
    images = next((len(rows) for name, rows in tensors.items() if name != MEMORY), 0)
    try:
        found = Sample(
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
