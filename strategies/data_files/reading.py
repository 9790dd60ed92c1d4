"""Files from elsewhere, read within `strategies.data_files.limits`: bytes, text and JSON.

Every entry point that reads a strategy comes through here. Each limit is checked before what it
bounds is built, so that a refused file costs no more than a good one.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import unicodedata
from collections.abc import Mapping
from typing import Any, NoReturn

from strategies.data_files.limits import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_KEY,
    MAX_TEXT,
    MAX_VALUES,
    MAX_WHOLE,
)
from strategies.errors import StrategyError
from strategies.text import brief, cut

# A string of JSON. It ends where the text ends if it is never closed, so the scan stays linear.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[{}\]]")
Where = tuple[Any, ...]  # Path of a value: keys and indices from the top.


def read_bytes(path: str | os.PathLike[str], limit: int = MAX_BYTES) -> bytes:
    """Bytes of a regular file; no more than the limit is read, whatever size is announced.

    Raises:
        FileNotFoundError: there is no such file.
        StrategyError: it cannot be read, is no regular file, or is larger than the limit.
    """
    try:
        with open(path, "rb", opener=_open) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise StrategyError(f"{path}: not a regular file; give the name of a file")
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StrategyError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        if isinstance(error, StrategyError):
            raise
        raise StrategyError(f"{path}: cannot be read ({error})") from None
    if len(data) > limit:
        raise StrategyError(f"{path}: larger than {limit} bytes, the most that is read")
    return data


def _open(path: str, flags: int) -> int:
    # Reading a named pipe without a writer would wait for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def decode(data: bytes, origin: str) -> str:
    """Text from UTF-8, with or without a byte order mark.

    Raises:
        StrategyError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise StrategyError(f"{origin}: not a text file in UTF-8") from None


def from_json(text: str) -> Any:
    """Value of JSON text.

    Raises:
        StrategyError: not JSON, a field given twice, or beyond a limit.
    """
    _bound(text)
    try:
        data = json.loads(
            text.removeprefix("\ufeff"),
            parse_constant=_constant,
            parse_int=_whole,
            parse_float=_real,
            object_pairs_hook=_unique,
        )
    except (ValueError, RecursionError) as error:
        if isinstance(error, StrategyError):
            raise
        raise StrategyError(f"not JSON ({error})") from None
    check_data(data)
    return data


def check_data(value: Any, where: Where = ()) -> None:
    """Refuse data that no file may hold: too deep, too much, not finite, or not to be encoded.

    Args:
        value: value as JSON or YAML gives it.
        where: place that the error message names.

    Raises:
        StrategyError: the data are refused; names the place.
    """
    left = [MAX_VALUES]
    _check(value, where, MAX_DEPTH, left)


def _check(value: Any, where: Where, depth: int, left: list[int]) -> None:
    left[0] -= 1
    if left[0] < 0:
        raise StrategyError(f"more than {MAX_VALUES} values, the most that a file may hold")
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, float):
        if not math.isfinite(value):
            _refuse(where, f"is {value}; only finite numbers may be stored")
    elif isinstance(value, int):
        if not -MAX_WHOLE < value < MAX_WHOLE:
            _refuse(where, "is a whole number of more than 64 bits")
    elif isinstance(value, Mapping | list | tuple):
        if depth == 0:
            _deep()
        mapping = isinstance(value, Mapping)
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            if mapping and isinstance(key, str):
                _check_key(key)
            _check(item, (where, key), depth - 1, left)


def _check_text(text: str, where: Where) -> None:
    if len(text) > MAX_TEXT:
        _refuse(where, f"is a text of {len(text)} characters; at most {MAX_TEXT} may be stored")
    if not _encodable(text):
        _refuse(where, f"is {brief(text)}, which holds half a character; give whole ones")


def _check_key(key: str) -> None:
    if len(key) > MAX_KEY:
        raise StrategyError(
            f"the name {cut(key, 40)!r} has {len(key)} characters; at most {MAX_KEY} are allowed"
        )
    if not _encodable(key):
        raise StrategyError(f"the name {brief(key)} holds half a character; give whole ones")


def _encodable(text: str) -> bool:
    """Whether text can be written; half of a surrogate pair cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(where: Where, why: str) -> NoReturn:
    raise StrategyError(f"{_named(where)} {why}")


def _named(where: Where) -> str:
    parts: list[str] = []
    while where:
        where, key = where
        parts.append(f"[{key}]" if isinstance(key, int) else f".{cut(str(key), 40)}")
    return "".join(reversed(parts)).lstrip(".") or "value"


def _bound(text: str) -> None:
    """Refuse text that would be too expensive to parse, by its characters outside strings."""
    if len(text) > MAX_BYTES:
        raise StrategyError(f"more than {MAX_BYTES} characters, the most that is read")
    bare = text
    if text.count('"') <= 4 * MAX_VALUES:
        bare = _STRING.sub('""', text)
    if max(sum(map(bare.count, ",[{")), bare.count('"') // 4) > MAX_VALUES:
        raise StrategyError(f"more than {MAX_VALUES} values, the most that a file may hold")
    depth = 0
    for sign in _BRACKET.findall(bare):
        depth += 1 if sign in "[{" else -1
        if depth > MAX_DEPTH + 1:
            _deep()


def _deep() -> NoReturn:
    raise StrategyError(f"lists and objects are more than {MAX_DEPTH} deep within each other")


def _constant(name: str) -> float:
    raise StrategyError(f"{name} is not a number that a strategy may hold")


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise StrategyError(f"{cut(digits, 40)} is a number of more than {MAX_DIGITS} digits")
    return int(digits)


def _real(digits: str) -> float:
    # Other programs write more digits than a number has; they mean nothing.
    value = float(digits) if len(digits) <= MAX_TEXT else math.inf
    if not math.isfinite(value):
        raise StrategyError(f"{cut(digits, 40)} is not a number that a strategy may hold")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; names that look the same count as the same."""
    found, seen = dict(pairs), set[str]()
    for key, _ in pairs:
        _check_key(key)
        name = key if key.isascii() else unicodedata.normalize("NFC", key)
        if name in seen:
            raise StrategyError(f"the field {brief(key)} is given twice")
        seen.add(name)
    return found
