"""Strategy files: one JSON object each, checked on the way in and written atomically."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

from strategies.data_files import reading
from strategies.data_files.limits import MAX_BYTES
from strategies.data_files.whole import write
from strategies.errors import StrategyError
from strategies.strategy import Strategy
from strategies.words import did_you_mean

__all__ = ["MAX_BYTES", "dump", "load", "parse", "presets", "read", "save"]


def load(source: str | os.PathLike[str]) -> Strategy:
    """Read a strategy from a file, or a published preset by its name.

    Raises:
        StrategyError: no such file or preset, not readable, not JSON, or not a valid strategy; the
            message names the file and the field.
    """
    return parse(read(source), str(Path(source)))


def read(source: str | os.PathLike[str]) -> str:
    """Text of a strategy file or of a published preset, not checked.

    Raises:
        StrategyError: no such file or preset, not a regular file, not text, or too large.
    """
    path = Path(source)
    try:
        data = reading.read_bytes(path)
    except FileNotFoundError:
        names = presets()
        if str(source) in names:
            return str((_preset_folder() / f"{source}.json").read_text(encoding="utf-8"))
        shown, hint = ", ".join(names) or "none", did_you_mean(str(source), names)
        raise StrategyError(f"{path}: no such file, and no such preset ({shown}){hint}") from None
    return reading.decode(data, str(path))


def parse(text: str, origin: str = "strategy") -> Strategy:
    """A strategy from JSON text; `origin` starts every error message.

    Raises:
        StrategyError: not JSON, or not a valid strategy.
    """
    try:
        data = reading.from_json(text)
        if isinstance(data, dict) and "schema" not in data:
            raise StrategyError('schema is missing; a strategy file says "schema": 1')
        return Strategy.read(data)
    except StrategyError as error:
        raise StrategyError(f"{origin}: {error}") from None


def save(strategy: Strategy, path: str | os.PathLike[str]) -> None:
    """Write a strategy file; an existing one is replaced only once the new one is complete.

    Raises:
        StrategyError: the file cannot be written.
    """
    write(dump(strategy), path)


def dump(strategy: Strategy) -> str:
    """The file's text: one line per top-level field and method, so that files can be diffed."""
    lines = []
    for key, value in strategy.to_json().items():
        if key == "methods" and value:
            inner = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f'  "methods": {{\n{inner}\n  }}')
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value, allow_nan=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def presets() -> list[str]:
    """Names of the published strategies that `load` knows."""
    folder = _preset_folder()
    names = (entry.name for entry in folder.iterdir()) if folder.is_dir() else ()
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def _preset_folder() -> Any:
    return resources.files("strategies") / "presets"
