"""Calling pipeline of a pass.

Pipelines may share a network, and the network is not told which runs.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from types import FrameType
from typing import Any

from diffusers import DiffusionPipeline
from torch import nn

from accel.pipelines.wrappers import FIRST, OTHERS, unwrapped


def calling(network: nn.Module, known: Collection[Any]) -> Any:
    """The pipeline whose code runs this pass of a network, or None in a loop of one's own.

    It is the nearest object on the call stack that holds the network and is a pipeline of diffusers
    or one of `known`.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        for candidate in _candidates(frame):
            pipeline = isinstance(candidate, DiffusionPipeline)
            known_one = pipeline or any(candidate is one for one in known)
            if known_one and holder(candidate, network) is not None:
                return candidate
        frame = frame.f_back
    return None


def holder(pipe: Any, network: nn.Module) -> Any:
    """A network as a pipeline holds it, with its wrappers, or None."""
    held = (getattr(pipe, name, None) for name in (*FIRST, *OTHERS))
    return next((outer for outer in held if unwrapped(outer) is network), None)


def variables(pipe: Any, name: str) -> Mapping[str, Any] | None:
    """Variables of the nearest call of a pipeline's method, or None if none is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == name and "self" in frame.f_code.co_varnames:
            found = frame.f_locals
            if found.get("self") is pipe:
                return found
        frame = frame.f_back
    return None


def _candidates(frame: FrameType) -> list[Any]:
    """`self` of a method. Modular pipelines pass themselves to their blocks as `components`."""
    names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    wanted = [name for name in ("self", "components") if name in names]
    return [frame.f_locals[name] for name in wanted if name in frame.f_locals]
