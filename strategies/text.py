"""Text from elsewhere, made safe for a terminal: nothing that a terminal would act on is left."""

from __future__ import annotations

import re
from typing import Any

MESSAGE = 4_000  # Characters of an error message.
CELL = 300  # Characters of a value in a table.
_BREAK = re.compile(r"[ \t]*[\r\n]+\s*")


def plain(text: str) -> str:
    """Text with escapes for control characters and all others that do not print."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def cut(text: str, length: int = CELL) -> str:
    """Text of at most `length` characters, with "..." if some are left out."""
    return text if len(text) <= length else text[: length - 3] + "..."


def safe_line(text: str, length: int = MESSAGE) -> str:
    """A message as one printable line; lines of another library's message are joined."""
    return plain(_BREAK.sub(" ", cut(text, length).strip("\r\n")))


def say(text: str) -> None:
    """Print one line that holds text of a file or a repository."""
    print(safe_line(text))


def brief(value: Any) -> str:
    """A given value, shortened for an error message."""
    return cut(repr(value), 80)
