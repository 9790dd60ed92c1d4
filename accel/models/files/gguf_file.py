"""Names, types and shapes of the tensors in a GGUF file, read from its header alone."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from strategies import StrategyError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST = 1 << 20  # Entries of a header, and characters of a text in it.
# Struct codes of the values in the header, by their number in the format.
VALUES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
ALIGNMENT = "general.alignment"
USUAL_ALIGNMENT = 32


class Kind(NamedTuple):
    """A type of tensors.

    Attributes:
        name: its name.
        block: number of values that are held together.
        size: bytes of such a block.
    """

    name: str
    block: int
    size: int


# Types of tensors that diffusers 0.42 reads, by their number in the format.
TYPES = {
    0: Kind("F32", 1, 4), 1: Kind("F16", 1, 2), 2: Kind("Q4_0", 32, 18), 3: Kind("Q4_1", 32, 20),
    6: Kind("Q5_0", 32, 22), 7: Kind("Q5_1", 32, 24), 8: Kind("Q8_0", 32, 34),
    10: Kind("Q2_K", 256, 84), 11: Kind("Q3_K", 256, 110), 12: Kind("Q4_K", 256, 144),
    13: Kind("Q5_K", 256, 176), 14: Kind("Q6_K", 256, 210), 20: Kind("IQ4_NL", 32, 18),
    23: Kind("IQ4_XS", 256, 136), 30: Kind("BF16", 1, 2),
}  # fmt: skip


class _CutError(Exception):
    """The file ends before its header does."""


def tensors(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of each tensor.

    Raises:
        StrategyError: it is no GGUF file, is cut, or has a type that diffusers does not read.
    """
    with path.open("rb") as file:
        try:
            return _tensors(path, file)
        except (_CutError, UnicodeDecodeError):
            raise StrategyError(
                f"{path} is cut, or is no GGUF file; copy or download it again"
            ) from None


def _tensors(path: Path, file: BinaryIO) -> dict[str, tuple[str, tuple[int, ...]]]:
    if file.read(4) != MAGIC:
        raise _CutError
    version = _number(file, "I")
    if version not in VERSIONS:
        raise StrategyError(
            f"{path} is of version {version} of the GGUF format; there are "
            f"{' and '.join(map(str, VERSIONS))}"
        )
    count, entries = _count(file), _count(file)
    alignment = USUAL_ALIGNMENT
    for _ in range(entries):
        name, value = _text(file), _value(file, _number(file, "I"))
        if name == ALIGNMENT and isinstance(value, int):
            alignment = max(value, 1)
    found, end = dict[str, tuple[str, tuple[int, ...]]](), 0
    for _ in range(count):
        name = _text(file)
        sizes = [_number(file, "Q") for _ in range(min(_number(file, "I"), 8))]
        kind, offset = _number(file, "I"), _number(file, "Q")
        if kind not in TYPES:
            raise StrategyError(
                f"{path}: {name} is of GGUF type {kind}, which diffusers does not read; give a "
                f"file of {', '.join(one.name for one in TYPES.values())}"
            )
        one = TYPES[kind]
        found[name] = one.name, tuple(reversed(sizes))
        end = max(end, offset + math.prod(sizes) // one.block * one.size)
    start = -(-file.tell() // alignment) * alignment
    missing = start + end - path.stat().st_size
    if missing > 0:
        raise StrategyError(
            f"{path} is cut: {missing} bytes are missing; copy or download it again"
        )
    return found


def _value(file: BinaryIO, kind: int) -> Any:
    """One value of the header; of a list nothing is kept."""
    if kind == TEXT:
        return _text(file)
    if kind == LIST:
        inner, count = _number(file, "I"), _count(file)
        for _ in range(count):
            _value(file, inner)
        return None
    if kind in VALUES:
        return _number(file, VALUES[kind])
    raise _CutError


def _number(file: BinaryIO, code: str) -> Any:
    size = struct.calcsize(f"<{code}")
    data = file.read(size)
    if len(data) < size:
        raise _CutError
    return struct.unpack(f"<{code}", data)[0]


def _count(file: BinaryIO) -> int:
    count = int(_number(file, "Q"))
    if count > MOST:
        raise _CutError
    return count


def _text(file: BinaryIO) -> str:
    length = _count(file)
    data = file.read(length)
    if len(data) < length:
        raise _CutError
    return data.decode()
