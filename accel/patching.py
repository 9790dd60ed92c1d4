"""Replacing a method of one object, and putting it back exactly.

A replacement goes under the hooks of accelerate and diffusers, so that they come and go without
taking it along. Where several replace the same method, their layers stack in one `Patched`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import CellType, MethodType
from typing import Any, TypeVar, cast

import torch
from torch import nn

Forward = Callable[..., Any]
Undo = Callable[[], None]
Make = Callable[[Forward], Forward]
F = TypeVar("F", bound=Callable[..., Any])


class Gate:
    """Whether the pass that runs now belongs to the pipeline that layers were attached for.

    Attributes:
        on: layers act; else they pass through.
    """

    def __init__(self) -> None:
        self.on = False


@dataclass
class Attachment:
    """What one strategy attaches to a network.

    Attributes:
        gate: of all its layers; None where they always act.
        outer: the network as the pipeline holds it; `torch.compile` may have wrapped it.
        modules: every module that got a layer or a hook.
        patches: every `Patched` that got a layer.
    """

    gate: Gate | None
    outer: Any
    modules: list[nn.Module] = field(default_factory=list)
    patches: list[Patched] = field(default_factory=list)


_CURRENT: ContextVar[Attachment | None] = ContextVar("attachment", default=None)


@contextmanager
def attaching(attachment: Attachment) -> Iterator[None]:
    """Let everything that is replaced inside the `with` block belong to `attachment`."""
    token = _CURRENT.set(attachment)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class Layer:
    """One replacement: what makes it from the method below it, and when it acts."""

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
    """Stands in the place of one method of one object.

    A deep copy or a pickle of the object has its own method there, not this one.

    Attributes:
        owner: the object.
        original: the method that was in place.
        layers: the innermost first; without any, the original runs.
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
        """Where `inspect.signature` finds the arguments."""
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
        """Take a layer out, wherever it lies."""
        self.layers.remove(layer)
        self._compose()

    def _compose(self) -> None:
        run = self.original
        for layer in self.layers:
            run = layer.over(run)
        self.run = run


class Untraced(Patched):
    """A `Patched` that `torch.compile` leaves alone; it compiles what this calls."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _call_untraced(self.run, args, kwargs)


def _untraced_call(run: Forward, args: Any, kwargs: Any) -> Any:
    return run(*args, **kwargs)


_call_untraced = torch.compiler.disable(_untraced_call, recursive=False)


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Slot:
    """One place that holds a method of an object or of a hook on it."""

    holder: Any
    name: str

    @property
    def value(self) -> Any:
        return getattr(self.holder, self.name, None)

    def put(self, value: Any) -> None:
        """Fill it; a module's own attributes are set without asking `nn.Module`."""
        vars(self.holder)[self.name] = value

    def restore(self, value: Any) -> None:
        """Fill it with what was there; a class's own method needs no attribute."""
        if _plain(self.holder, self.name, value):
            vars(self.holder).pop(self.name, None)
        else:
            self.put(value)


def _plain(owner: Any, name: str, value: Any) -> bool:
    """Whether a value is the bound method that the owner's class has under this name."""
    return (
        isinstance(value, MethodType)
        and value.__self__ is owner
        and value.__func__ is getattr(type(owner), name, None)
    )


def slots(owner: Any, name: str = "forward") -> list[Slot]:
    """Where a method can be: in hooks of diffusers, in one of accelerate, on the object itself."""
    found = []
    if name == "forward":
        for hook in getattr(vars(owner).get("_diffusers_hook"), "_fn_refs", ()):
            whole = hook.original_forward is None
            found.append(Slot(hook, "forward" if whole else "original_forward"))
        if "_old_forward" in vars(owner):
            found.append(Slot(owner, "_old_forward"))
    return [*found, Slot(owner, name)]


def _innermost(owner: Any, name: str) -> Slot:
    """The slot of a `Patched`, else of the class's own method, else the outermost."""
    found = slots(owner, name)
    for slot in found:
        if isinstance(slot.value, Patched):
            return slot
    plain = (slot for slot in found if _plain(owner, name, slot.value))
    return next(plain, found[-1])


def _outside(module: nn.Module, outer: Any) -> Slot:
    """Where what `torch.compile` must not see goes: around what it compiled."""
    if outer is not module and hasattr(outer, "_orig_mod"):
        return Slot(outer, "forward")
    if getattr(module, "_compiled_call_impl", None) is not None:
        return Slot(module, "_compiled_call_impl")
    return _innermost(module, "forward")


def reached(patched: Patched, outer: Any) -> bool:
    """Whether a `Patched` is where its module's forward is called.

    Args:
        outer: the network as the pipeline holds it.
    """
    module = patched.owner
    if isinstance(patched, Untraced):
        slot = _outside(module, outer)
        if slot.holder is not module or slot.name != "forward":
            return slot.value is patched
    if any(slot.value is patched for slot in slots(module)):
        return True
    return _leads(vars(module).get("forward"), patched)


def _leads(step: Any, patched: Patched, depth: int = 8) -> bool:
    """Whether a function that somebody has put over a method holds a `Patched` to call."""
    if step is patched:
        return True
    if depth == 0 or not callable(step) or isinstance(step, type | nn.Module):
        return False
    cells = getattr(step, "__closure__", None) or ()
    inner = [getattr(step, "__wrapped__", None), getattr(step, "func", None)]
    inner += [cell.cell_contents for cell in cells if _filled(cell)]
    return any(_leads(one, patched, depth - 1) for one in inner)


def _filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # An empty cell says so by an error.
    except ValueError:
        return False
    return True


def replace_forward(module: nn.Module, make: Make, traced: bool = True) -> Undo:
    """Put `make(forward)` over `module.forward`.

    Args:
        module: the one instance that changes; its class is left alone.
        make: gets the forward below, returns the one to use; may be asked again.
        traced: `torch.compile` may compile the replacement; else only what it calls.

    Returns:
        A function that undoes it. Where something unknown has wrapped the module in the meantime,
        the place stays in that chain and passes through.
    """
    current = _CURRENT.get()
    slot = (
        _innermost(module, "forward")
        if traced
        else _outside(module, current.outer if current else module)
    )
    undo, patched = _replace(slot, module, make, current.gate if current else None, traced)
    if current is not None:
        current.modules.append(module)
        current.patches.append(patched)
    return undo


def replace_method(owner: Any, name: str, make: Make) -> Undo:
    """Put `make(method)` over a method of an object that is no network, whoever calls it."""
    return _replace(_innermost(owner, name), owner, make, None, True)[0]


def _replace(
    slot: Slot, owner: Any, make: Make, gate: Gate | None, traced: bool
) -> tuple[Undo, Patched]:
    patched = slot.value
    if not isinstance(patched, Patched):
        patched = (Patched if traced else Untraced)(owner, slot.value)
        slot.put(patched)
    layer = Layer(make, gate)
    patched.add(layer)

    def undo() -> None:
        patched.drop(layer)
        if not patched.layers:
            for place in {slot, *slots(owner, slot.name)}:
                if place.value is patched:
                    place.restore(patched.original)

    return undo, patched


def watch(module: nn.Module, register: str, hook: Callable[..., None], **settings: Any) -> Undo:
    """Register a hook of torch that changes nothing and runs where the strategy acts.

    Args:
        register: name of the module's method that registers it.
        hook: what is called.
        settings: of `register`.
    """
    current = _CURRENT.get()
    gate = current.gate if current else None

    def gated(*args: Any) -> None:
        if gate is None or gate.on:
            hook(*args)

    if current is not None:
        current.modules.append(module)
    return cast(Undo, getattr(module, register)(gated, **settings).remove)


def untraced(function: F) -> F:
    """Decorator: `torch.compile` compiles neither this function nor what it calls."""
    return cast(F, torch.compiler.disable(function))


def undo_all(undos: list[Undo]) -> None:
    """Run `undos` in reverse order and empty the list."""
    while undos:
        undos.pop()()
