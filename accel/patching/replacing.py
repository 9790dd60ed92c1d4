"""Replacing a method of one object, and putting it back exactly.

A replacement goes under the hooks of accelerate and diffusers, so that these can be added and
removed without it. If several replacements share a method, their layers stack in one `Patched`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import torch
from torch import nn

from accel.patching.layers import Gate, Gated, Inherited, Layer, Make, Patched, Untraced
from accel.patching.slots import Slot, innermost, outside, slots

Undo = Callable[[], None]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Attachment:
    """Everything that one strategy attaches to a network.

    Attributes:
        gate: gate of all its layers; None if they always act.
        outer: the network as the pipeline holds it; `torch.compile` may have wrapped it.
        modules: every module that got a layer or a hook.
        patches: every `Patched` that got a layer.
        undos: undo of every attachment, for a method that fails while it attaches; each may run
            twice.
    """

    gate: Gate | None
    outer: Any
    modules: list[nn.Module] = field(default_factory=list)
    patches: list[Patched] = field(default_factory=list)
    undos: list[Undo] = field(default_factory=list)


_CURRENT: ContextVar[Attachment | None] = ContextVar("attachment", default=None)


@contextmanager
def attaching(attachment: Attachment) -> Iterator[None]:
    """Assign everything that is replaced inside the `with` block to `attachment`."""
    token = _CURRENT.set(attachment)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def replace_forward(module: nn.Module, make: Make, traced: bool = True) -> Undo:
    """Put `make(forward)` over `module.forward`.

    Args:
        module: the one instance that changes; its class is left alone.
        make: function from the forward below to the one to use; may be called again.
        traced: whether `torch.compile` may compile the replacement; else only functions that it
            calls.

    Returns:
        A function that undoes it. If something unknown has wrapped the module since, the
        replacement stays in that chain and passes calls through.
    """
    current = _CURRENT.get()
    slot = (
        innermost(module, "forward")
        if traced
        else outside(module, current.outer if current else module)
    )
    undo, patched = _replace(slot, module, make, current.gate if current else None, traced)
    if current is not None:
        current.modules.append(module)
        current.patches.append(patched)
        current.undos.append(undo)
    return undo


def replace_method(owner: Any, name: str, make: Make) -> Undo:
    """Put `make(method)` over a method of an object that is no network, for all callers.

    The class of the object may be exchanged while the replacement is there.
    """
    return _replace(Slot(owner, name), owner, make, None, True)[0]


def _replace(
    slot: Slot, owner: Any, make: Make, gate: Gate | None, traced: bool
) -> tuple[Undo, Patched]:
    patched = slot.value
    if not isinstance(patched, Patched):
        found = slot.value
        if not isinstance(owner, nn.Module) and slot.name not in vars(owner):
            found = Inherited(owner, slot.name)
        patched = (Patched if traced else Untraced)(owner, found)
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
    """Register a torch hook that changes nothing and runs only where the strategy acts.

    Args:
        module: module to watch.
        register: name of the module's method that registers hooks.
        hook: function to call.
        settings: further arguments of `register`.
    """
    current = _CURRENT.get()
    gated = Gated(hook, current.gate if current else None)
    undo = cast(Undo, getattr(module, register)(gated, **settings).remove)
    if current is not None:
        current.modules.append(module)
        current.undos.append(undo)
    return undo


def untraced(function: F) -> F:
    """Decorator: `torch.compile` compiles neither this function nor what it calls."""
    return cast(F, torch.compiler.disable(function))


def undo_all(undos: list[Undo]) -> None:
    """Run `undos` in reverse order and empty the list."""
    while undos:
        undos.pop()()
