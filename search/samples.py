"""Samples kept in a run's folder: the unaccelerated ones, and candidates' that may be continued.

They only save drawing again: a sample that is missing or torn by a kill is drawn anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from evaluate.sample import Sample
from strategies import StrategyError


def write(sample: Sample, path: Path) -> None:
    """Store a sample; there is the whole of it afterwards or none.

    Raises:
        StrategyError: it cannot be written.
    """
    tensors: dict[str, Any] = {"features": sample.features, "images": sample.images}
    tensors |= {f"right_{name}": value for name, value in sample.right.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, part)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        raise StrategyError(f"{path}: cannot be written ({error})") from None


def read(path: Path, count: int) -> Sample | None:
    """A stored sample of exactly so many images, or None."""
    try:
        tensors = load_file(path)
        right = {k.removeprefix("right_"): v for k, v in tensors.items() if k.startswith("right_")}
        found = Sample(tensors["features"], tensors["images"], right)
    except (OSError, SafetensorError, KeyError):
        return None
    return found if len(found.features) == count else None


def first(sample: Sample, count: int) -> Sample:
    """The first so many images of a sample."""
    right = {name: values[:count] for name, values in sample.right.items()}
    return Sample(sample.features[:count], sample.images[:count], right, sample.seconds)


def joined(one: Sample, other: Sample) -> Sample:
    """Two samples of one strategy, the second on the prompts that follow the first's."""
    right = {name: np.concatenate([v, other.right[name]]) for name, v in one.right.items()}
    return Sample(
        np.concatenate([one.features, other.features]),
        np.concatenate([one.images, other.images]),
        right,
        one.seconds + other.seconds,
    )
