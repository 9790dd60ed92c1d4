"""YAML files (models, spaces, search settings, runs), read within `strategies.data_files.limits`.

A few aliases in YAML can stand for more data than any memory holds. The size of a file is therefore
counted with every alias written out, before anything is built.
"""

from __future__ import annotations

import os
import re
from typing import Any, NoReturn

import yaml

from strategies.data_files import reading
from strategies.data_files.limits import MAX_DEPTH, MAX_DIGITS, MAX_YAML_BYTES, MAX_YAML_VALUES
from strategies.errors import StrategyError
from strategies.text import brief, cut

OPEN = 200  # Brackets that are not closed, wherever they are.
_BRACKET = re.compile(r"[\[{}\]]")
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """Value of a YAML file.

    Raises:
        StrategyError: it cannot be read, is not YAML, or is beyond a limit; names the file.
    """
    try:
        text = reading.decode(reading.read_bytes(path, MAX_YAML_BYTES), str(path))
    except FileNotFoundError:
        raise StrategyError(f"{path}: no such file") from None
    try:
        return from_yaml(text)
    except StrategyError as error:
        raise StrategyError(f"{path}: cannot be read as YAML: {error}") from None


def from_yaml(text: str) -> Any:
    """Value of YAML text.

    Raises:
        StrategyError: it is not YAML, gives an entry twice, or is beyond a limit.
    """
    if len(text) > MAX_YAML_BYTES:
        raise StrategyError(f"more than {MAX_YAML_BYTES} characters, the most that is read")
    try:
        data = _build(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f" in line {mark.line + 1}"
        raise StrategyError(f"{error.problem or error.context}{line}") from None
    except RecursionError:
        _deep()
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        # Dates and numbers that mean nothing raise errors of Python's own.
        raise StrategyError(error) from None
    reading.check_data(data)
    return data


def _build(text: str) -> Any:
    if max(text.count(","), text.count("\n")) > MAX_YAML_VALUES:
        _large()
    # Its scanner looks at all open brackets for every sign. Some in texts and comments are fine.
    depth = 0
    for sign in _BRACKET.findall(text):
        depth += 1 if sign in "[{" else -1
        if depth > OPEN:
            _deep()
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}, MAX_DEPTH) > MAX_YAML_VALUES:
            _large()
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[yaml.Node, int | None], depth: int) -> int:
    """Values below a node, with every alias written out.

    Raises:
        StrategyError: too deep, an alias for what holds it, an entry given twice, a huge number.
    """
    if isinstance(node, yaml.ScalarNode):
        if node.tag in NUMBERS and len(node.value) > MAX_DIGITS:
            raise StrategyError(
                f"{cut(node.value, 40)} is a number of more than {MAX_DIGITS} digits"
            )
        return 1
    if node in known:
        size = known[node]
        if size is None:
            raise StrategyError("an alias stands for the very list or mapping that it is in")
        return size
    if depth == 0:
        _deep()
    known[node] = None
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        parts = [part for pair in node.value for part in pair]
    else:
        parts = node.value
    size = 1 + sum(_size(part, known, depth - 1) for part in parts)
    known[node] = size
    return size


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set[tuple[str, str]]()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                raise StrategyError(
                    f"{brief(key.value)} is given twice, again in line {key.start_mark.line + 1}"
                )
            seen.add((key.tag, key.value))


def _deep() -> NoReturn:
    raise StrategyError(f"lists and mappings are more than {MAX_DEPTH} deep within each other")


def _large() -> NoReturn:
    raise StrategyError(
        f"more than {MAX_YAML_VALUES} values or lines with its aliases written out, the most that "
        "a file may hold"
    )
