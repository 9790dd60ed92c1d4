"""Former names: they work for one release, and each use says the present name in one line."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")


def announce(owner: str, old: str, new: str, level: int = 3) -> None:
    """Say the present name of something that was used under a former one.

    Args:
        owner: module or class that has it.
        old, new: former and present name.
        level: number of frames between this function and the code that used the former name.
    """
    warnings.warn(
        f"{owner}.{old} is now {owner}.{new}; the next release takes the new name alone",
        DeprecationWarning,
        stacklevel=level,
    )


class FormerName:
    """Attribute of a class under its former name.

    Args:
        new: present name.
    """

    def __init__(self, new: str) -> None:
        self._new, self._old = new, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._old = name

    def __get__(self, instance: Any, owner: type) -> Any:
        announce(owner.__name__, self._old, self._new)
        return getattr(owner if instance is None else instance, self._new)

    def __set__(self, instance: Any, value: Any) -> None:
        announce(type(instance).__name__, self._old, self._new)
        setattr(instance, self._new, value)


def takes_former(**names: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: the constructor also takes keyword arguments under their former names.

    Args:
        names: present names by former ones.
    """

    def decorate(owner: type[T]) -> type[T]:
        original: Callable[..., None] = owner.__init__

        @wraps(original)
        def initialise(self: T, *args: Any, **given: Any) -> None:
            for old in sorted(names.keys() & given.keys()):
                new, value = names[old], given.pop(old)
                if new in given:
                    raise TypeError(f"{owner.__name__} got {new!r}, also as {old!r}; give one")
                announce(owner.__name__, old, new)
                given[new] = value
            original(self, *args, **given)

        owner.__init__ = initialise  # type: ignore[assignment]
        return owner

    return decorate


def adopt_former(declared: type, names: Mapping[str, str]) -> None:
    """Give a class everything that it declares under former names under the present ones.

    Args:
        declared: class that may declare something under a former name.
        names: present names by former ones.
    """
    for old in sorted(names.keys() & vars(declared).keys()):
        if not isinstance(vars(declared)[old], FormerName):
            announce(declared.__name__, old, names[old], 4)
            setattr(declared, names[old], vars(declared)[old])
