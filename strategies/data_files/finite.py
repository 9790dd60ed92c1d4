"""Data that every JSON reader takes: without NaN and infinity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def is_number(value: Any) -> bool:
    """Whether a value of a JSON file is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def finite(data: Any) -> Any:
    """The data with None for numbers that JSON does not have."""
    if isinstance(data, Mapping):
        return {str(key): finite(item) for key, item in data.items()}
    if isinstance(data, list | tuple):
        return [finite(item) for item in data]
    if isinstance(data, float):
        return float(data) if math.isfinite(data) else None
    return data
