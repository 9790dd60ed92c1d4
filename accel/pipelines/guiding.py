"""Guidance of diffusers' pipelines, as far as a strategy must know it to leave one half out.

Pipelines add `scale * (conditional - unconditional)` to the unconditional prediction, and some of
them to the conditional one. They get both from one doubled batch or from two passes. What some do
afterwards, such as scaling the result to the norm of the conditional prediction, follows from these
two. Other pipelines guide by three parts, by perturbed attention or in a way of their own, and are
refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from accel.pipelines.callers import variables
from accel.pipelines.manners import MANNERS, Kind
from strategies import StrategyError

_NOW = "current_guidance_scale"  # Variable with the scale of a call, where it changes on the way.
_CHANGED = "use_dynamic_cfg"  # Argument that changes the scale only after the network has run.


@dataclass(frozen=True)
class Guiding:
    """Guidance of a pipeline in one generation.

    Attributes:
        kind: doubled batch, two passes, or no guidance.
        scale: function that reads the guidance scale of the current call; None if that is not known
            before the network has run.
        prompt: the half, or the pass of two, that has the prompt; None if the network's family
            knows.
        adds: whether the scaled difference is added to the conditional prediction.
        setting: function that reads an argument of the running call by name; None if it has none.
    """

    kind: Kind
    scale: Callable[[], float | None]
    prompt: int | None = None
    adds: bool = False
    setting: Callable[[str], Any] = lambda name: None

    def combined(self, both: Tensor, prompt: int) -> Tensor:
        """The guided prediction `[calls, ...]`, before what some pipelines do to its norm.

        Args:
            both: the two predictions `[calls, 2, ...]`.
            prompt: the one of them that has the prompt.

        Raises:
            StrategyError: the guidance scale is known only after the call.
        """
        scale = self.scale()
        if scale is None:
            raise StrategyError(
                "the guidance scale changes after each call; call the pipeline without "
                "use_dynamic_cfg"
            )
        conditional, unconditional = both[:, prompt], both[:, 1 - prompt]
        base = conditional if self.adds else unconditional
        return base + scale * (conditional - unconditional)


def check_guiding(pipe: Any, method: str) -> None:
    """Refuse a pipeline that guides in a way of its own.

    Args:
        pipe: a pipeline.
        method: name of the method that asks, for messages.

    Raises:
        StrategyError: its class is not known to guide in one of the ways above.
    """
    name = _class(pipe)
    if name is None or name in MANNERS:
        return
    raise StrategyError(
        f"methods.{method} does not know how {name} guides; it takes pipelines that guide with "
        "two predictions, in one doubled batch or in two passes, as StableDiffusionPipeline, "
        "StableDiffusion3Pipeline, PixArtSigmaPipeline, FluxPipeline, QwenImagePipeline and "
        f"WanPipeline do: take methods.{method} out of the strategy"
    )


def guides(pipe: Any, word: str | None, scale: float) -> bool:
    """Whether a pipeline's own call guides with two predictions, in a way that is known.

    Args:
        pipe: a pipeline.
        word: name of the argument that sets its guidance, if there is one.
        scale: value of that argument.
    """
    manner = MANNERS.get(_class(pipe) or "")
    if manner is None or manner.kind == "none" or manner.scale != word:
        return False
    distilled = bool(getattr(pipe.config, "is_distilled", False))  # Of FLUX.2-klein.
    return not distilled and scale > (0 if manner.adds else 1)


def find_guiding(pipe: Any) -> Guiding | None:
    """Guidance of the running pipeline; None in a loop of one's own.

    Raises:
        StrategyError: it guides by more than two predictions this time.
    """
    name = _class(pipe)
    there = None if name is None else variables(pipe, "__call__")
    if there is None or name is None:
        return None
    if there.get("skip_guidance_layers") is not None:
        raise StrategyError(
            "skip_guidance_layers guides by a third prediction, which methods.guidance and "
            "methods.paradigms do not follow; leave skip_guidance_layers out of the call, or these "
            "methods out of the strategy"
        )
    manner = MANNERS[name]
    kind: Kind = manner.kind if manner.asks(pipe, there) else "none"
    return Guiding(
        kind,
        lambda: _scale(pipe, manner.scale),
        manner.prompt,
        manner.adds,
        lambda name: (variables(pipe, "__call__") or {}).get(name),
    )


def _scale(pipe: Any, word: str) -> float | None:
    """Guidance scale of the call that is being made."""
    there = variables(pipe, "__call__") or {}
    if there.get(_CHANGED):
        return None
    if _NOW in there:
        return float(there[_NOW])
    own = isinstance(getattr(type(pipe), word, None), property)
    return float(getattr(pipe, word) if own else there[word])


def _class(pipe: Any) -> str | None:
    """Name of the class whose `__call__` a pipeline has, or None for an object without one."""
    kinds = (kind for kind in type(pipe).__mro__ if "__call__" in vars(kind))
    return next((kind.__name__ for kind in kinds), None)
