"""Layers over a method: an object that replaces the method and calls it with wrappers on top."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch

Forward = Callable[..., Any]
Make = Callable[[Forward], Forward]


class Gate:
    """Switch of a strategy's layers, on during passes of its own pipeline.

    Attributes:
        on: whether layers act; else they pass calls through.
    """

    def __init__(self) -> None:
        self.on = False


class Gated:
    """A hook that runs while its gate is on. A copy or a pickle of it does nothing."""

    __slots__ = ("gate", "hook")

    def __init__(self, hook: Callable[..., None] | None, gate: Gate | None) -> None:
        self.hook, self.gate = hook, gate

    def __call__(self, *args: Any) -> None:
        if self.hook is not None and (self.gate is None or self.gate.on):
            self.hook(*args)

    def __deepcopy__(self, memo: dict[int, Any]) -> Gated:
        return Gated(None, None)

    def __reduce__(self) -> Any:
        return Gated, (None, None)


class Layer:
    """One replacement: the function that makes it from the method below, and its gate."""

    def __init__(self, make: Make, gate: Gate | None) -> None:
        self.make, self.gate = make, gate

    def over(self, below: Forward) -> Forward:
        """The method with this layer on top."""
        replacement, gate = self.make(below), self.gate
        if gate is None:
            return replacement

        def forward(*args: Any, **kwargs: Any) -> Any:
            return replacement(*args, **kwargs) if gate.on else below(*args, **kwargs)

        return forward


class Patched:
    """Replacement of one method of one object.

    A deep copy or a pickle of the object has its own method there, not this one.

    Attributes:
        owner: the object.
        original: method that was in place.
        layers: layers, the innermost first; without any, the original runs.
        run: the original with all layers on top.
    """

    __slots__ = ("layers", "original", "owner", "run")

    def __init__(self, owner: Any, original: Forward) -> None:
        self.owner, self.original = owner, original
        self.layers: list[Layer] = []
        self.run = original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)

    @property
    def __wrapped__(self) -> Forward:
        """Original method, from which `inspect.signature` reads the arguments."""
        return self.original

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        # A copy of the owner's dictionary alone goes back into the owner.
        return copy.deepcopy(self.original, memo) if id(self.owner) in memo else self

    def __reduce__(self) -> Any:
        return _same, (self.original,)

    def add(self, layer: Layer) -> None:
        """Put a layer on top."""
        self.layers.append(layer)
        self._compose()

    def drop(self, layer: Layer) -> None:
        """Remove a layer, wherever it lies, if it is there."""
        if layer in self.layers:
            self.layers.remove(layer)
            self._compose()

    def _compose(self) -> None:
        run = self.original
        for layer in self.layers:
            run = layer.over(run)
        self.run = run


class Untraced(Patched):
    """A `Patched` that `torch.compile` leaves alone; it compiles the functions that this calls."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _call_untraced(self.run, args, kwargs)


class Inherited:
    """The method that an object has from its class, whatever its class is at that time."""

    __slots__ = ("name", "owner")

    def __init__(self, owner: Any, name: str) -> None:
        self.owner, self.name = owner, name

    @property
    def __wrapped__(self) -> Forward:
        """The method as it is now."""
        return cast(Forward, getattr(type(self.owner), self.name).__get__(self.owner))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return Inherited(memo[id(self.owner)], self.name)

    def __reduce__(self) -> Any:
        return Inherited, (self.owner, self.name)


def _untraced_call(run: Forward, args: Any, kwargs: Any) -> Any:
    return run(*args, **kwargs)


_call_untraced = torch.compiler.disable(_untraced_call, recursive=False)


def _same(value: Any) -> Any:
    return value
