"""Blocks as the source of a model describes them: their streams and the order they run in.

A block's `forward` names its streams: they are the arguments that its `return` gives back. A
model's `forward` has a loop over each list of blocks, in the order they run. Both are read from the
classes as they are installed, so that nothing has to be known of a model in advance.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import nn

from accel.stack import Face

Function = ast.FunctionDef | ast.AsyncFunctionDef
Return = tuple[str | None, ...] | str | None  # Names in a tuple, one name, or something else.


@dataclass(frozen=True)
class Loop:
    """A loop of a model over lists of blocks.

    Attributes:
        lists: names of the lists; more than one where it runs them in turns.
        given: names of the variables that a block's results are put into, in their order.
        straight: nothing changes these variables between the end of the loop before and its start.
        later: names that are read behind the loop.
    """

    lists: tuple[str, ...]
    given: tuple[str, ...]
    straight: bool
    later: frozenset[str]


def block_face(module: Any) -> Face | None:
    """Face of a block, or None if the module is no block."""
    kind: Any = type(module)
    inner = _delegate(kind)
    if inner is not None:
        found = block_face(getattr(module, inner, None))
        return None if found is None else _placed(found, kind)
    return _face(kind)


@cache
def _face(kind: type) -> Face | None:
    function = function_of(kind, "forward")
    if function is None:
        return None
    names = _arguments(function)
    returns = [_names(node.value, names) for node in _returns(function)]
    if not names or not returns:
        return None
    if all(one is None for one in returns):
        returns = [names[0]]  # Made in the expression itself, from the first argument.
    streams = list(dict.fromkeys(n for n in names for one in returns if one and _has(one, n)))
    forms = [one for one in returns if isinstance(one, tuple)]
    whole = [one for one in forms if all(name in streams for name in one)]
    bare = next((one for one in returns if isinstance(one, str)), None)
    if not streams or (bare is None and not whole):
        return None
    return Face(
        tuple(streams),
        tuple(names.index(name) for name in streams),
        tuple(tuple(None if n is None else streams.index(n) for n in one) for one in forms),
        None if bare is None else streams.index(bare),
    )


def _has(one: tuple[str | None, ...] | str, name: str) -> bool:
    return name == one if isinstance(one, str) else name in one


def _names(value: ast.expr | None, arguments: list[str]) -> Return:
    """Names of the arguments that a returned expression gives back."""
    if isinstance(value, ast.Name):
        return value.id if value.id in arguments else None
    if not isinstance(value, ast.Tuple):
        return None
    items = value.elts
    if not any(isinstance(one, ast.Name) for one in items):
        return tuple(arguments[: len(items)])  # Sums with streams, in the order of arguments.
    found = (one.id if isinstance(one, ast.Name) else None for one in items)
    return tuple(name if name in arguments else None for name in found)


@cache
def _delegate(kind: type) -> str | None:
    """Name of the inner block whose result a block returns as it is."""
    function = function_of(kind, "forward")
    returns = [] if function is None else list(_returns(function))
    if len(returns) != 1 or not isinstance(returns[0].value, ast.Call):
        return None
    return of_self(returns[0].value.func)


def _placed(found: Face, kind: type) -> Face:
    """A face with the places that its streams have in another class's `forward`."""
    function = function_of(kind, "forward")
    names = [] if function is None else _arguments(function)
    places = tuple(names.index(n) if n in names else len(names) for n in found.names)
    return Face(found.names, places, found.forms, found.bare)


@cache
def function_of(kind: type, name: str) -> Function | None:
    """A method's syntax tree, or None where its source is not to be had."""
    method = getattr(kind, name, None)
    if method is None or getattr(nn.Module, name, None) is method:
        return None
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(method))))
    except (OSError, TypeError, SyntaxError):
        return None
    found = tree.body[0] if tree.body else None
    return found if isinstance(found, Function) else None


def _arguments(function: Function) -> list[str]:
    given = function.args
    return [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)][1:]


def _returns(function: Function) -> Iterator[ast.Return]:
    """Return statements of a function, without those of functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            waiting[:0] = ast.iter_child_nodes(node)


def of_self(node: ast.AST) -> str | None:
    """The name in `self.name`."""
    own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    return node.attr if own and node.value.id == "self" else None  # type: ignore[attr-defined]


def loops(model: nn.Module, lists: Mapping[str, Any]) -> list[Loop]:
    """The loops of a model over lists of modules, in the order they run.

    Args:
        model: denoiser.
        lists: lists that may be looped over, by name.
    """
    kind: Any = type(model)
    for name in ("forward", *_own(kind)):
        function = function_of(kind, name)
        found = [] if function is None else _loops(function, lists)
        if found:
            return found
    return []


def _own(kind: type) -> list[str]:
    """Names of the methods that a class defines, but for those that build it."""
    return [n for n, value in vars(kind).items() if inspect.isfunction(value) and n != "__init__"]


def _loops(function: Function, lists: Mapping[str, Any]) -> list[Loop]:
    aliases = _aliases(function, lists)
    found: dict[tuple[str, ...], tuple[int, Loop]] = {}
    before: dict[int, tuple[int, Loop]] = {}  # By statement list, the loop before and its place.
    for body in _bodies(function):
        for place, node in enumerate(body):
            if not isinstance(node, ast.For):
                continue
            names = tuple(dict.fromkeys(_looped(node.iter, lists, aliases)))
            if not names or names in found:
                continue
            given = _given(node)
            last = before.get(id(body))
            straight = last is not None and not (
                _assigned(body[last[0] + 1 : place]) & {*given, *last[1].given}
            )
            straight = straight and last is not None and set(given) == set(last[1].given)
            loop = Loop(names, given, straight, _read_behind(function, node))
            found[names] = (node.lineno, loop)
            before[id(body)] = (place, loop)
    return [loop for _, loop in sorted(found.values(), key=lambda one: one[0])]


def _aliases(function: Function, lists: Mapping[str, Any]) -> dict[str, str]:
    """Local names that a list is given."""
    found = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = of_self(node.value)
            if name in lists:
                found[node.targets[0].id] = str(name)
    return found


def _bodies(function: Function) -> Iterator[list[ast.stmt]]:
    """Every list of statements, in the order of the source, but for those of loops over blocks."""
    waiting: list[list[ast.stmt]] = [function.body]
    while waiting:
        body = waiting.pop(0)
        yield body
        inner: list[list[ast.stmt]] = []
        for node in body:
            fields = ("body", "orelse", "finalbody")
            inner += [part for name in fields if (part := getattr(node, name, None))]
        waiting[:0] = inner


def _looped(node: ast.expr, lists: Mapping[str, Any], aliases: Mapping[str, str]) -> Iterator[str]:
    """Names of the lists that an iterator runs over."""
    for part in ast.walk(node):
        name = of_self(part)
        if name is None and isinstance(part, ast.Name):
            name = aliases.get(part.id)
        if name in lists:
            yield str(name)


def _given(loop: ast.For) -> tuple[str, ...]:
    """The variables that get what a block returns."""
    inside = {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
    for node in ast.walk(loop):
        if not isinstance(node, ast.Assign):
            continue
        called = [n.func for n in ast.walk(node.value) if isinstance(n, ast.Call)]
        if any(isinstance(one, ast.Name) and one.id in inside for one in called):
            target = node.targets[0]
            items = target.elts if isinstance(target, ast.Tuple) else [target]
            return tuple(ast.unparse(item) for item in items)
    return ()


def _assigned(body: list[ast.stmt]) -> set[str]:
    nodes = (node for part in body for node in ast.walk(part))
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _read_behind(function: Function, loop: ast.For) -> frozenset[str]:
    end = loop.end_lineno or 0
    names = (node for node in ast.walk(function) if isinstance(node, ast.Name))
    return frozenset(n.id for n in names if isinstance(n.ctx, ast.Load) and n.lineno > end)
