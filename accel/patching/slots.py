"""Slots: the places that can hold a method of an object, with the hooks of other libraries around
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import CellType, MethodType
from typing import Any

from torch import nn

from accel.patching.layers import Inherited, Patched, Untraced


@dataclass(frozen=True)
class Slot:
    """One place that holds a method of an object or of a hook on it."""

    holder: Any
    name: str

    @property
    def value(self) -> Any:
        return getattr(self.holder, self.name, None)

    def put(self, value: Any) -> None:
        """Set its value. A module's own attributes are set without `nn.Module.__setattr__`."""
        vars(self.holder)[self.name] = value

    def restore(self, value: Any) -> None:
        """Set its former value. A class's own method needs no attribute."""
        if isinstance(value, Inherited) or _plain(self.holder, self.name, value):
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
    """Slots of a method: in hooks of diffusers, in one of accelerate, on the object itself."""
    found = []
    if name == "forward":
        for hook in getattr(vars(owner).get("_diffusers_hook"), "_fn_refs", ()):
            whole = hook.original_forward is None
            found.append(Slot(hook, "forward" if whole else "original_forward"))
        if "_old_forward" in vars(owner):
            found.append(Slot(owner, "_old_forward"))
    return [*found, Slot(owner, name)]


def innermost(owner: Any, name: str) -> Slot:
    """The slot of a `Patched`, else that of the class's own method, else the outermost."""
    found = slots(owner, name)
    for slot in found:
        if isinstance(slot.value, Patched):
            return slot
    plain = (slot for slot in found if _plain(owner, name, slot.value))
    return next(plain, found[-1])


def outside(module: nn.Module, outer: Any) -> Slot:
    """Slot for code that `torch.compile` must not see: around the compiled module."""
    if outer is not module and hasattr(outer, "_orig_mod"):
        return Slot(outer, "forward")
    if getattr(module, "_compiled_call_impl", None) is not None:
        return Slot(module, "_compiled_call_impl")
    return innermost(module, "forward")


def reached(patched: Patched, outer: Any) -> bool:
    """Whether a `Patched` is where its module's forward is called.

    Args:
        outer: the network as the pipeline holds it.
    """
    module = patched.owner
    if isinstance(patched, Untraced):
        slot = outside(module, outer)
        if slot.holder is not module or slot.name != "forward":
            return slot.value is patched
    if any(slot.value is patched for slot in slots(module)):
        return True
    return _leads(vars(module).get("forward"), patched)


def _leads(step: Any, patched: Patched, depth: int = 8) -> bool:
    """Whether a function that was put over a method holds a `Patched` to call."""
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
