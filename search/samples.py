"""Samples kept in a run's folder: the unaccelerated ones, and candidates' that may be continued.

They only save drawing again: a sample that is missing, torn by a kill, or without something that
is asked of it is drawn anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from evaluate.reading import Reading, Sample
from strategies import StrategyError

FEATURES, PAIRED, MEMORY = "features.", "paired.", "memory"


def write(sample: Sample, path: Path) -> None:
    """Store a sample; there is the whole of it afterwards or none.

    Raises:
        StrategyError: it cannot be written.
    """
    tensors: dict[str, Any] = {f"{FEATURES}{name}": v for name, v in sample.features.items()}
    tensors |= {f"{PAIRED}{name}": values for name, values in sample.paired.items()}
    if sample.memory is not None:
        tensors[MEMORY] = np.array([sample.memory], np.int64)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, part)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise StrategyError(f"{path}: cannot be written ({error})") from None


def read(path: Path, count: int, reading: Reading) -> Sample | None:
    """A stored sample of exactly so many images with all that a reading takes, or None."""
    try:
        tensors = load_file(path)
        found = Sample(
            count,
            {name: tensors[f"{FEATURES}{name}"] for name in reading.networks},
            {name: tensors[f"{PAIRED}{name}"] for name in reading.pairs},
            int(tensors[MEMORY][0]) if reading.memory else None,
        )
    except (OSError, SafetensorError, KeyError):
        return None
    lengths = {len(rows) for rows in found.features.values()}
    lengths |= {len(rows) for rows in found.paired.values()}
    return found if lengths == {count} else None
