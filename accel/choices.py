"""Several strategies on one pipeline, all attached, of which one is chosen for what comes next."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from torch import nn

from accel.patching.replacing import Undo, undo_all
from accel.pipelines.overrides import override
from accel.sampler import Sampler
from strategies import StrategyError
from strategies.words import did_you_mean


class Choices:
    """Strategies of one pipeline by name; made by `accel.apply` with a mapping.

    Each has its own caches, and its own solver unless it is a rule. Strategies that are not chosen
    pass calls through.

    Attributes:
        pipe: function that returns the pipeline, or None if it is gone.
        name: name of the chosen strategy; None runs the pipeline unaccelerated.
    """

    def __init__(self, pipe: Any, makers: Mapping[str, Callable[[], Sampler]]) -> None:
        self.pipe = weakref.ref(pipe)
        self.name: str | None = None
        self._own = pipe.scheduler
        self._samplers: dict[str, Sampler] = {}
        self._solvers: dict[str, Any] = {}
        self._undos: list[Undo] = []
        try:
            for name, make in makers.items():
                self._samplers[name] = sampler = make()
                sampler.chosen, sampler.group = False, self
                if pipe.scheduler is not self._own:
                    self._solvers[name] = pipe.scheduler
                    pipe.scheduler = self._own
            self._undos.append(override(pipe, "progress_bar", self._starts))
            self._undos.append(override(pipe, "maybe_free_model_hooks", self._is_over))
        except BaseException:
            self.detach()
            raise

    @property
    def networks(self) -> list[nn.Module]:
        """All networks that its strategies act on."""
        return [network for one in self._samplers.values() for network in one.networks]

    @property
    def chosen(self) -> Sampler | None:
        """The chosen strategy on its pipeline."""
        return None if self.name is None else self._samplers[self.name]

    def choose(self, name: str | None) -> None:
        """Use a strategy, and its solver, from the next generation on.

        Raises:
            StrategyError: there is no such name, or a generation is running.
        """
        pipe: Any = self.pipe()
        if name is not None and name not in self._samplers:
            raise StrategyError(
                f"{name!r} is no strategy of this pipeline; there are "
                f"{', '.join(self._samplers)}, or None for none"
                f"{did_you_mean(name, self._samplers)}"
            )
        if _runs(pipe):
            raise StrategyError(
                "this pipeline generates right now; choose a strategy between two generations"
            )
        before = self.chosen
        if before is not None:
            before.chosen = False
            before.is_over()
        if self.name not in self._solvers:
            self._own = pipe.scheduler  # Somebody may have given it another one since.
        self.name = name
        pipe.scheduler = self._solvers.get(str(name), self._own)
        if self.chosen is not None:
            self.chosen.chosen = True

    def detach(self) -> None:
        """Put the pipeline and its network back as they were."""
        undo_all(self._undos)
        for sampler in reversed(self._samplers.values()):
            sampler.detach()
        pipe = self.pipe()
        if pipe is not None and self.name in self._solvers:
            pipe.scheduler = self._own

    def _starts(self) -> None:
        if self.chosen is not None:
            self.chosen.starts()

    def _is_over(self) -> None:
        if self.chosen is not None:
            self.chosen.is_over()


def _runs(pipe: Any) -> bool:
    """Whether some thread is inside of a call of a pipeline."""
    return any(_holds(frame, pipe) for frame in sys._current_frames().values())


def _holds(frame: FrameType | None, pipe: Any) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "__call__" and frame.f_locals.get("self") is pipe:
            return True
        frame = frame.f_back
    return False
