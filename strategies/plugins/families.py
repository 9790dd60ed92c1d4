"""Families of denoisers by name, and the methods that each can be used with.

Each method says which of them it is
for. A family of another package says itself which methods it supports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from strategies.errors import StrategyError
from strategies.plugins import entry_points
from strategies.text import brief


class Declared(Protocol):
    """Part of a method's declaration that says where it works."""

    method: ClassVar[str]
    families: ClassVar[tuple[str, ...]]


OWN = ("unet", "dit", "mmdit", "transformer")


@dataclass(frozen=True)
class FamilyPlugin:
    """A family of another package, declared without torch.

    Attributes:
        name: name in strategy files; that of the entry point.
        methods: names of the methods that work on it.
        sites: reference `module:name` to its `accel.families.base.Family`.
        space: path of a YAML file with the space that a search of its models uses by default; empty
            if a search has to name one.
    """

    name: str
    methods: tuple[str, ...]
    sites: str
    space: str = ""


@cache
def from_packages() -> Mapping[str, FamilyPlugin]:
    """Families of other packages, by name."""
    found = entry_points.added("families", _why_not, dict.fromkeys(OWN))
    return MappingProxyType(found)


def family_names() -> tuple[str, ...]:
    """Names of all families."""
    return (*OWN, *from_packages())


def check_known(name: str) -> None:
    """Refuse a family that is not known.

    Raises:
        StrategyError: there is none of this name; says which there are.
    """
    if name not in OWN and name not in from_packages():
        there = ", ".join(family_names()) + entry_points.left_out("families", name)
        raise StrategyError(f"family is {brief(name)}; known ones are {there}")


def works_on(kind: type[Declared], family: str) -> bool:
    """Whether a method can be used with a family."""
    if family in kind.families:
        return True
    return (
        family not in OWN
        and family in from_packages()
        and (kind.method in from_packages()[family].methods)
    )


def families_of(kind: type[Declared]) -> list[str]:
    """Names of the families that a method can be used with."""
    others = [name for name in from_packages() if name not in kind.families]
    return [*kind.families, *(name for name in others if works_on(kind, name))]


def _why_not(name: str, value: Any) -> str:
    if not isinstance(value, FamilyPlugin):
        return f"it must be a FamilyPlugin, not {type(value).__name__}"
    if value.name != name:
        return f"its family is called {value.name!r}; the entry point must have that name"
    if not entry_points.is_reference(value.sites):
        return f"its sites are {value.sites!r}; give 'module:name' of a Family"
    return ""
