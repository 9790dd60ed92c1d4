"""Files of arrays that can be reused if they have the same origin.

A file holds the origin of its arrays and a checksum. A file that is incomplete, damaged or of
another origin counts as missing, and its content is computed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

ORIGIN, SUM = "origin", "sum"
Arrays = Mapping[str, NDArray[Any]]


def pack_arrays(arrays: Arrays, origin: str) -> bytes:
    """Content of a file of arrays.

    Args:
        arrays: arrays by name.
        origin: description of their origin; a reader must pass the same.
    """
    rows = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    return save(rows, {ORIGIN: origin, SUM: _sum(rows)})


def unpack(path: Path, origin: str, unsigned: bool = False) -> dict[str, NDArray[Any]] | None:
    """Arrays of a file, or None if it is missing, damaged or of another origin.

    Args:
        path: path of the file.
        origin: origin that the arrays must have.
        unsigned: whether to accept a file without an origin.
    """
    try:
        with safe_open(path, "np") as file:
            said = file.metadata() or {}
            if said.get(ORIGIN) != origin and not (unsigned and ORIGIN not in said):
                return None
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    return found if SUM not in said or said[SUM] == _sum(found) else None


def _sum(arrays: Arrays) -> str:
    found = hashlib.sha256()
    for name in sorted(arrays):
        value = arrays[name]
        found.update(f"{name} {value.dtype} {value.shape}\n".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    return found.hexdigest()
