"""Arrays on disk that may be used again, with what they came from.

A file says of which inputs its arrays are and what they add up to. One that is torn, damaged, or of
other inputs is as good as none: what it should hold is made anew.
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


def pack(arrays: Arrays, origin: str) -> bytes:
    """The content of a file of arrays.

    Args:
        arrays: by name.
        origin: what they came from; whoever reads the file has to give the same.
    """
    rows = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    return save(rows, {ORIGIN: origin, SUM: _sum(rows)})


def unpack(path: Path, origin: str, unsigned: bool = False) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file, or None where it is not there, damaged, or of another origin.

    Args:
        path: of the file.
        origin: what they have to have come from.
        unsigned: also take a file that does not say where it came from.
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
