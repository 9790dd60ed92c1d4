"""Strategy files: one JSON object each, checked on the way in and written atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from strategies import rules
from strategies.data_files import reading, strategy_folders
from strategies.data_files.limits import MAX_BYTES
from strategies.data_files.whole import write
from strategies.errors import StrategyError
from strategies.knobs import registered_methods
from strategies.rules import Rule
from strategies.strategy import Strategy
from strategies.words import did_you_mean

__all__ = ["MAX_BYTES", "dump", "find_strategy", "load", "parse", "presets", "read_text", "save"]


def load(source: str | os.PathLike[str]) -> Strategy:
    """Read a strategy from a file or a folder, or a published preset by its name.

    A run's folder stands for its knee, and a folder pulled from the hub for its strategy. A rule
    such as `deepcache-n3` is given for the solver and the number of steps of its paper.

    Raises:
        StrategyError: no such file or preset, not readable, not JSON, or not a valid strategy; the
            message names the file and the field.
    """
    return parse(read_text(source), str(Path(source)))


def find_strategy(source: str | os.PathLike[str]) -> Strategy | Rule:
    """A rule by its name, unless there is a file of that name; anything else as `load` reads it.

    Raises:
        StrategyError: see `load`.
    """
    rule = named_rule(source)
    return load(source) if rule is None else rule


def named_rule(source: str | os.PathLike[str]) -> Rule | None:
    """The rule of a name; None if no rule has it, or if there is a file of that name."""
    return None if _there(Path(source).exists) else rules.find_rule(str(source))


def read_text(source: str | os.PathLike[str]) -> str:
    """Text of a strategy file or of a published preset, not checked.

    Raises:
        StrategyError: no such file or preset, not a regular file, not text, or too large.
    """
    path = Path(source)
    try:
        folder = _there(path.is_dir)
        data = reading.read_bytes(strategy_folders.strategy_file(path) if folder else path)
    except FileNotFoundError:
        return _published(str(source))
    return reading.decode(data, str(path))


def _there(asked: Callable[[], bool]) -> bool:
    """Answer of a path about itself; nothing has a name that the file system refuses."""
    try:
        return asked()
    except (OSError, ValueError):
        return False


def _published(name: str) -> str:
    """Text of a preset, or of a rule at the run of its paper."""
    lists = presets()
    if name in lists:
        return str((_preset_folder() / f"{name}.json").read_text(encoding="utf-8"))
    rule = rules.find_rule(name)
    if rule is not None:
        return dump(rule.published())
    raise StrategyError(f"{name}: {_unknown(name, lists)}")


def _unknown(name: str, lists: Iterable[str]) -> str:
    """Reason why a name is neither a file nor a preset, with the nearest name or all of them."""
    if "/" in name or name.endswith(".json"):
        return "no such file or folder"
    wrong = next((one for one in name.split(rules.JOIN) if rules.find_rule(one) is None), name)
    joined = rules.JOIN in name
    if joined and wrong in lists:
        return f"{wrong} is a list of a paper's table; a plus joins rules only"
    names = sorted({*rules.rule_names(), *(() if joined else lists)})
    named = f" {wrong!r}" if joined else ""
    if wrong in registered_methods():
        return f"{wrong if joined else 'this'} is a method; {_own_presets(wrong, names)}"
    hint = did_you_mean(wrong, names)
    if hint:
        return f"no such file, and no such preset{named}{hint} python -m strategies list shows all"
    return f"no such file, and no such preset{named}; give one of {', '.join(names)}"


def _own_presets(method: str, names: Iterable[str]) -> str:
    """A proposal of a method's preset, and all of them."""
    own = [one for one in names if one.startswith(f"{method}-")]
    if not own:
        return "it has no preset, so give a strategy file, or find one by python -m search"
    best = next((one for one in own if one.endswith("-n3")), own[0])
    return f"did you mean {best!r}? Its presets are {', '.join(own)}"


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
