"""Replacing a module's `forward` on one instance, and putting it back exactly."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import nn

Forward = Callable[..., Any]
Undo = Callable[[], None]
F = TypeVar("F", bound=Callable[..., Any])


def replace_forward(
    module: nn.Module, make: Callable[[Forward], Forward], traced: bool = True
) -> Undo:
    """Put `make(original forward)` in the place of `module.forward`.

    Args:
        module: the one instance that changes; its class is left alone.
        make: gets the forward that was in place, returns the one to use.
        traced: `torch.compile` may compile the replacement; else only what it calls.

    Returns:
        A function that undoes it. Where something else (an offload hook, say) has wrapped the
        module in the meantime, the replacement stays in that chain but only passes through.
    """
    had_own = "forward" in module.__dict__
    original = module.forward
    replacement = make(original)
    active = True

    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        return replacement(*args, **kwargs) if active else original(*args, **kwargs)

    if not traced:
        replacement = torch.compiler.disable(replacement, recursive=False)
        forward = torch.compiler.disable(forward, recursive=False)

    def undo() -> None:
        nonlocal active
        active = False
        if module.__dict__.get("forward") is forward:
            if had_own:
                module.__dict__["forward"] = original
            else:
                del module.__dict__["forward"]

    module.__dict__["forward"] = forward
    return undo


def untraced(function: F) -> F:
    """Decorator: `torch.compile` compiles neither this function nor what it calls."""
    return cast(F, torch.compiler.disable(function))


def undo_all(undos: list[Undo]) -> None:
    """Run `undos` in reverse order and empty the list."""
    while undos:
        undos.pop()()
