"""Copies of tiny pipelines.

`copy.deepcopy` looks at every attribute of every module, a quarter of the time of the laws' tests.
Here only weights, and what holds them, are copied deeply.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

_PLAIN = {str, int, float, bool, type(None), torch.dtype, torch.device, type}
_HOLDERS = {dict, OrderedDict}
Made = dict[int, Any]


def copied(pipe: Any) -> Any:
    """A pipeline of its own, which shares no weights with the first one.

    Args:
        pipe: pipeline that has generated nothing and has no hooks.
    """
    made: Made = {}
    other = object.__new__(type(pipe))
    for name, value in vars(pipe).items():
        vars(other)[name] = (
            _module(value, made) if isinstance(value, nn.Module) else copy.deepcopy(value)
        )
    return other


def _module(module: nn.Module, made: Made) -> Any:
    if id(module) not in made:
        other = made[id(module)] = object.__new__(type(module))
        vars(other).update({name: _value(one, made) for name, one in vars(module).items()})
    return made[id(module)]


def _value(value: Any, made: Made) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in _HOLDERS:  # Most are empty: a module has a dozen dicts of hooks.
        return kind([(name, _value(one, made)) for name, one in value.items()]) if value else kind()
    if isinstance(value, nn.Module):
        return _module(value, made)
    if isinstance(value, torch.Tensor):
        if id(value) not in made:
            made[id(value)] = copy.deepcopy(value)
        return made[id(value)]
    if kind in (list, tuple, set):
        return kind([_value(one, made) for one in value]) if value else kind()
    return copy.copy(value)  # Settings and attention processors.


def tensors(pipe: Any) -> Iterator[torch.Tensor]:
    """Every weight and buffer of a pipeline."""
    for part in vars(pipe).values():
        if isinstance(part, nn.Module):
            yield from part.parameters()
            yield from part.buffers()
