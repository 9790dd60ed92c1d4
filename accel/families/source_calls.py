"""Calls of a block's children, as the source of its `forward` makes them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from accel.families.source import function_of, of_self


@dataclass(frozen=True)
class Called:
    """Calls of one child.

    Attributes:
        most: number of calls in a pass, at most; branches of one `if` exclude each other.
        single: whether each result goes to one name, not to several.
        inside: name of the child that its result goes to directly, or empty.
    """

    most: int
    single: bool
    inside: str


@cache
def calls(kind: type) -> dict[str, Called]:
    """Children that a class's `forward` calls, in the order of its source."""
    function = function_of(kind, "forward")
    if function is None:
        return {}
    names = list(dict.fromkeys(_called(function)))
    spread = {name for name in names if _is_spread(function, name)}
    around = {name: _around(function, name) for name in names}
    return {
        name: Called(_most(function.body, name), name not in spread, around[name]) for name in names
    }


def _called(node: ast.AST) -> Iterator[str]:
    """Names of all children that are called, some more than once."""
    found = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
    for one in sorted(found, key=lambda call: (call.lineno, call.col_offset)):
        name = of_self(one.func)
        if name is not None:
            yield name


def _most(nodes: list[ast.stmt] | list[ast.expr], name: str) -> int:
    """Number of calls of a child that one way through some nodes makes, at most."""
    return sum(_count(node, name) for node in nodes)


def _count(node: ast.AST, name: str) -> int:
    if isinstance(node, ast.If):
        sides = (_most(node.body, name), _most(node.orelse, name))
        return _count(node.test, name) + max(sides)
    if isinstance(node, ast.IfExp):
        return _count(node.test, name) + max(_count(node.body, name), _count(node.orelse, name))
    inner = sum(_count(child, name) for child in ast.iter_child_nodes(node))
    loops = 2 if isinstance(node, ast.For | ast.While) else 1  # Any number, so more than one.
    return inner * loops + (isinstance(node, ast.Call) and of_self(node.func) == name)


def _is_spread(function: ast.AST, name: str) -> bool:
    """Whether a result of a child is taken apart as a tuple."""
    return any(
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Tuple)
        and isinstance(node.value, ast.Call)
        and of_self(node.value.func) == name
        for node in ast.walk(function)
    )


def _around(function: ast.AST, name: str) -> str:
    """The child whose only argument is a call of this one."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and len(node.args) == 1:
            inner = node.args[0]
            if isinstance(inner, ast.Call) and of_self(inner.func) == name:
                return of_self(node.func) or ""
    return ""
