"""Shared by all tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; numbers are shown to three digits, None as nothing."""
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    lines += [f"| {' | '.join(cell(one) for one in row)} |" for row in rows]
    return "\n".join(lines)


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return str(value).replace("|", "/").replace("\n", " ")
    if isinstance(value, int):
        return f"{value:,}"
    return short(value)


def short(value: float) -> str:
    """Three digits."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    digits = 3 if abs(value) < 1 else 3 - len(str(int(abs(value))))
    return f"{value:.{digits}f}"


def ratio(entry: dict[str, Any]) -> str:
    """A speedup with its quartiles."""
    low, high = entry["quartiles"]
    return f"{entry['speedup']:.2f} ({low:.2f} to {high:.2f})"
