"""Plug-ins: methods, families, metrics and proposers that installed packages add by entry points.

A package names them under `stratagem.methods`, `stratagem.families`, `stratagem.metrics` or
`stratagem.proposers`. A plug-in that cannot be used is left out with one warning, and everything
else works. The reason is kept for whoever asks for it by name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from strategies.errors import StrategyError
from strategies.text import safe_line

T = TypeVar("T")
KINDS = ("methods", "families", "metrics", "proposers")
_LEFT_OUT: dict[tuple[str, str], str] = {}


@cache
def declared(kind: str) -> tuple[EntryPoint, ...]:
    """Entry points of one kind, by name and then by package.

    Args:
        kind: one of `KINDS`.
    """
    found = entry_points(group=f"stratagem.{kind}")
    return tuple(sorted(found, key=lambda one: (one.name, package_of(one))))


def package_of(entry: EntryPoint) -> str:
    """Name of the package that declares an entry point."""
    return "an unknown package" if entry.dist is None else entry.dist.name


def plugin_packages() -> list[str]:
    """Names of the packages that declare plug-ins."""
    return sorted({one.dist.name for kind in KINDS for one in declared(kind) if one.dist})


def added(
    kind: str, why_not: Callable[[str, Any], str], taken: Mapping[str, Any]
) -> dict[str, Any]:
    """Usable plug-ins of one kind, by name.

    Args:
        kind: one of `KINDS`.
        why_not: function from the name of an entry point and what it points to, to the reason why
            that is unusable; empty if it is usable.
        taken: names that are in use, and what they stand for.
    """
    found: dict[str, tuple[Any, str]] = {}
    for entry in declared(kind):
        name, package = entry.name, package_of(entry)
        try:
            value = entry.load()
            reason = why_not(name, value)
        except (Exception, SystemExit) as error:  # Whatever a package does when it is imported.
            _leave_out(kind, entry, error_text(error))
            continue
        if name in taken and taken[name] is not value:
            reason = f"{kind} of Stratagem have this name already; give it another one"
        elif name in found:
            reason = f"{found[name][1]} has one of this name, too; uninstall one of the two"
        if reason:
            _leave_out(kind, entry, reason)
        else:
            found[name] = value, package
    return {name: value for name, (value, _) in found.items()}


class Table(MutableMapping[str, T]):
    """Things of one kind by name: those of Stratagem, and those of other packages.

    Packages are only looked at when the table is first used. So a package may import the modules
    that it needs in any order.

    Args:
        kind: one of `KINDS`.
        own: things of Stratagem.
        why_not: see `added`.
    """

    def __init__(self, kind: str, own: Mapping[str, T], why_not: Callable[[str, Any], str]) -> None:
        self._kind, self._own, self._why_not = kind, dict(own), why_not
        self._added: dict[str, T] | None = None

    def _all(self) -> dict[str, T]:
        if self._added is None:
            self._added = {}  # A package may read the table while it is loaded.
            self._added = added(self._kind, self._why_not, self._own)
        return {**self._own, **self._added}

    def __getitem__(self, name: str) -> T:
        return self._own[name] if name in self._own else self._all()[name]

    def __setitem__(self, name: str, value: T) -> None:
        self._own[name] = value

    def __delitem__(self, name: str) -> None:
        del self._own[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def left_out(kind: str, name: str) -> str:
    """Part of an error: why a plug-in of this name is left out; empty if there is none."""
    reason = _LEFT_OUT.get((kind, name))
    return f"; {reason}" if reason else ""


def load_reference(reference: str, owner: str) -> Any:
    """Object that a reference `module:name` stands for.

    Raises:
        StrategyError: it cannot be imported; names the owner of the reference.
    """
    module, _, name = reference.partition(":")
    try:
        return getattr(import_module(module), name)
    except Exception as error:  # Whatever a package does when it is imported.
        raise StrategyError(f"{owner}: {reference} cannot be used: {error_text(error)}") from error


def is_reference(value: object) -> bool:
    """Whether a value has the form `module:name`."""
    if not isinstance(value, str):
        return False
    module, colon, name = value.partition(":")
    return bool(colon) and name.isidentifier() and all(map(str.isidentifier, module.split(".")))


def forget_plugins() -> None:
    """Look for plug-ins again, after packages have come or gone."""
    declared.cache_clear()
    _LEFT_OUT.clear()


def error_text(error: BaseException) -> str:
    """Kind and message of an error in one line."""
    return safe_line(f"{type(error).__name__}: {error}", 300)


def _leave_out(kind: str, entry: EntryPoint, reason: str) -> None:
    key = kind, entry.name
    text = f"plug-in {entry.name!r} of {package_of(entry)} is left out: {reason}"
    if _LEFT_OUT.get(key) != text:
        _LEFT_OUT[key] = text
        print(f"warning: {safe_line(text)}", file=sys.stderr)
