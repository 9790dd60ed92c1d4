"""Names, types and shapes of the tensors in a GGUF file, read from its header alone."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from strategies import StrategyError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST = 1 << 20  # Entries of a header, and characters of a text in it.
# Struct codes of the values in the header, by their number in the format.
VALUES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
# Types of tensors that diffusers 0.42 reads, by their number in the format.
TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K",
    11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 20: "IQ4_NL", 23: "IQ4_XS", 30: "BF16",
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
    for _ in range(entries):
        _text(file)
        _value(file, _number(file, "I"))
    found = {}
    for _ in range(count):
        name = _text(file)
        sizes = [_number(file, "Q") for _ in range(min(_number(file, "I"), 8))]
        kind = _number(file, "I")
        _number(file, "Q")
        if kind not in TYPES:
            raise StrategyError(
                f"{path}: {name} is of GGUF type {kind}, which diffusers does not read; give a "
                f"file of {', '.join(TYPES.values())}"
            )
        found[name] = TYPES[kind], tuple(reversed(sizes))
    return found


def _value(file: BinaryIO, kind: int) -> None:
    """Skip one value of the header."""
    if kind == TEXT:
        _text(file)
    elif kind == LIST:
        inner, count = _number(file, "I"), _count(file)
        for _ in range(count):
            _value(file, inner)
    elif kind in VALUES:
        _number(file, VALUES[kind])
    else:
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
