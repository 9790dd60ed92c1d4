"""A pipeline with a strategy as one callable that passes the strategy's own settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from strategies import Strategy

STEPS = ("num_inference_steps", "timesteps", "sigmas")  # Any of them says how many steps to make.
GUIDANCE = "guidance"  # Key in a file's provenance: the guidance scale that it was scored at.


class AcceleratedPipeline:
    """A pipeline as its strategy was measured: with its steps, and its guidance where it says one.

    Arguments of the call go before these settings. Everything else is the pipeline's own.
    """

    def __init__(self, pipe: Any, current: Callable[[], Strategy | None]) -> None:
        self._pipe: Any
        self._current: Callable[[], Strategy | None]
        vars(self).update(_pipe=pipe, _current=current)

    @property
    def strategy(self) -> Strategy | None:
        """The strategy that acts now.

        None for a rule, which fits whatever number of steps is asked for, and for no strategy.
        """
        return self._current()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Generate as the pipeline does.

        Raises:
            StrategyError: the strategy was removed.
        """
        return self._pipe(*args, **(self._own(args, kwargs) | kwargs))

    def _own(self, args: Any, kwargs: Any) -> dict[str, Any]:
        strategy = self._current()
        if strategy is None:
            return {}
        signature = inspect.signature(self._pipe.__call__)
        given = signature.bind_partial(*args, **kwargs).arguments
        own: dict[str, Any] = {}
        if not any(name in given for name in STEPS):
            own["num_inference_steps"] = strategy.steps
        scale = strategy.provenance.get(GUIDANCE)
        found = signature.parameters
        # `true_cfg_scale` is the guidance where `guidance_scale` is for distilled models and unset.
        words = [w for w in ("guidance_scale", "true_cfg_scale") if w in found]
        word = next((w for w in words if found[w].default is not None), None)
        if isinstance(scale, int | float) and word is not None and word not in given:
            own[word] = scale
        return own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._pipe, name, value)
