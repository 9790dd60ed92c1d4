"""Strategy files: one JSON object each, checked on the way in and written atomically."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

from strategies.errors import StrategyError
from strategies.strategy import Strategy
from strategies.whole import write
from strategies.words import did_you_mean

MAX_BYTES = 4_000_000


def load(source: str | os.PathLike[str]) -> Strategy:
    """Read a strategy from a file, or a published preset by its name.

    Raises:
        StrategyError: no such file or preset, not readable, not JSON, or not a valid strategy; the
            message names the file and the field.
    """
    path = Path(source)
    if not path.exists() and str(source) in presets():
        text = (_preset_folder() / f"{source}.json").read_text(encoding="utf-8")
        return parse(text, f"preset {source}")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise StrategyError(f"{path}: larger than {MAX_BYTES} bytes, so not a strategy file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        names = ", ".join(presets()) or "none"
        hint = did_you_mean(str(source), presets())
        raise StrategyError(f"{path}: no such file, and no such preset ({names}){hint}") from None
    except UnicodeDecodeError:
        raise StrategyError(f"{path}: not a text file, so not a strategy") from None
    except OSError as error:
        raise StrategyError(f"{path}: cannot be read ({error.strerror})") from None
    return parse(text, str(path))


def parse(text: str, origin: str = "strategy") -> Strategy:
    """A strategy from JSON text; `origin` starts every error message.

    Raises:
        StrategyError: not JSON, or not a valid strategy.
    """
    try:
        data = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        if isinstance(error, StrategyError):
            raise StrategyError(f"{origin}: {error}") from None
        raise StrategyError(f"{origin}: not JSON ({error})") from None
    if not isinstance(data, dict):
        raise StrategyError(f"{origin}: a strategy is a JSON object, not {type(data).__name__}")
    if "schema" not in data:
        raise StrategyError(f'{origin}: schema is missing; a strategy file says "schema": 1')
    try:
        return Strategy.create(**data)
    except StrategyError as error:
        raise StrategyError(f"{origin}: {error}") from None
    except TypeError:
        raise StrategyError(f"{origin}: field names must be plain strings") from None


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


def _refuse_constant(name: str) -> float:
    raise StrategyError(f"{name} is not a number that a strategy may hold")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise StrategyError(f"the field {twice!r} is given twice")
    return found
