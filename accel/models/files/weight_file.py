"""Names, types and shapes of the tensors in a weight file, read from its header alone."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from accel.models.files import gguf_file
from strategies import StrategyError

LENGTH = 8  # Bytes of the header's length.
LARGEST = 100 << 20  # Bytes of a header, by the format's own limit.
SHARD = "give the whole file; copy or download it again"


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file.

    Attributes:
        dtype: type as the file names it, such as F16.
        shape: sizes.
    """

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class WeightFile:
    """Header of a weight file.

    Attributes:
        path: place of the file.
        tensors: tensors by name.
        notes: further entries of the header.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    notes: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def keys(self) -> frozenset[str]:
        """Names of the tensors."""
        return frozenset(self.tensors)

    def has(self, prefix: str) -> bool:
        """Whether a tensor's name begins so."""
        return any(key.startswith(prefix) for key in self.tensors)

    def precisions(self, prefix: str = "") -> list[str]:
        """Types of the tensors whose names begin so, the commonest first."""
        found = [one.dtype for key, one in self.tensors.items() if key.startswith(prefix)]
        return sorted(set(found), key=lambda dtype: (-found.count(dtype), dtype))


def read_header(path: str | Path) -> WeightFile:
    """The header of a .safetensors or .gguf file.

    Raises:
        StrategyError: there is no such file, or it is cut or of another format.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".gguf":
            found = gguf_file.tensors(path)
            return WeightFile(path, {name: Tensor(*one) for name, one in found.items()})
        return _read(path)
    except OSError as error:
        raise StrategyError(f"{path}: cannot be read ({error.strerror})") from None


def _read(path: Path) -> WeightFile:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(LENGTH)
        length = struct.unpack("<Q", start)[0] if len(start) == LENGTH else LARGEST + 1
        if length > min(LARGEST, size - LENGTH):
            raise StrategyError(f"{path} is cut, or is no safetensors file; {SHARD}")
        text = file.read(length)
    try:
        data = json.loads(text)
        notes = data.pop("__metadata__", {})
        ends = [int(one["data_offsets"][1]) for one in data.values()]
        tensors = {
            str(name): Tensor(str(one["dtype"]), tuple(map(int, one["shape"])))
            for name, one in data.items()
        }
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        raise StrategyError(f"{path}: its header is damaged; {SHARD}") from None
    missing = max(ends, default=0) + LENGTH + length - size
    if missing > 0:
        raise StrategyError(f"{path} is cut: {missing} bytes are missing; {SHARD}")
    if not tensors:
        raise StrategyError(f"{path} holds no tensor; {SHARD}")
    return WeightFile(path, tensors, notes if isinstance(notes, dict) else {})
