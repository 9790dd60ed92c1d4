"""Pipelines that a function of the user's returns, named as `module:function`."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import nn

from strategies import StrategyError

# Digests of the pipelines that functions returned in this process, by their names.
_DIGESTS: dict[str, dict[str, str]] = {}


def load_from_function(source: str) -> Any:
    """The pipeline that a function returns.

    The function runs with the rights of the user. Its name is only ever taken from the command
    line or from a config that the command line names.

    Args:
        source: `module:function`; the module is found as Python finds it, or in this folder.

    Raises:
        StrategyError: there is no such function, it fails, or it returns no pipeline.
    """
    name, _, attribute = source.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise StrategyError(
            f"model {source}: {error}; give module:function of your own environment or folder"
        ) from None
    function = getattr(module, attribute, None)
    if not callable(function):
        raise StrategyError(f"model {source}: {name} has no function {attribute}")
    try:
        pipe = function()
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise StrategyError(
            f"model {source}: the function failed: {type(error).__name__}: {reason}"
        ) from error
    if not isinstance(pipe, DiffusionPipeline):
        raise StrategyError(
            f"model {source}: the function returned a {type(pipe).__name__}; it must return a "
            "pipeline of diffusers"
        )
    _DIGESTS[source] = {name: _digest(part) for name, part in pipe.components.items()}
    return pipe


def part_digests(source: str) -> dict[str, str]:
    """Digest of each part of the pipeline that a function returned, by content.

    Raises:
        StrategyError: see `load_from_function`; the function runs if it has not run in this
            process.
    """
    if source not in _DIGESTS:
        load_from_function(source)
    return dict(_DIGESTS[source])


def _digest(part: Any) -> str:
    """Digest of a network's weights, or of the settings of another part."""
    found = hashlib.sha256(type(part).__name__.encode())
    if isinstance(part, nn.Module):
        for name, value in sorted(part.state_dict().items()):
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            for tensor in _plain(value):
                flat = tensor.detach().cpu().contiguous().flatten()
                found.update(flat.view(torch.uint8).numpy().data)
    else:
        config = getattr(part, "config", None) or getattr(part, "init_kwargs", {})
        found.update(json.dumps(dict(config), sort_keys=True, default=str).encode())
    return found.hexdigest()


def _plain(value: torch.Tensor) -> list[torch.Tensor]:
    """The ordinary tensors that a tensor is made of; a quantised one has several."""
    if not hasattr(value, "__tensor_flatten__"):
        return [] if value.is_meta or not value.numel() else [value]
    names, _ = value.__tensor_flatten__()
    return [one for name in names for one in _plain(getattr(value, name))]
