"""Position of a pass of the denoiser in its generation: its schedule and the index of its call.

Pipelines iterate over `scheduler.timesteps` and hand a view of that tensor to the denoiser. Its
storage tells the schedule, since `set_timesteps` makes a new tensor for every generation. Its
storage offset tells the call, without any device synchronisation, even if a timestep occurs twice
(PNDM, Heun). Pipelines that restore copies of their scheduler's state between views (Panorama)
still hand out views of the first tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from strategies import StrategyError


@dataclass(frozen=True, eq=False)
class Moment:
    """Position of one pass.

    Attributes:
        schedule: object that the passes of one generation share; kept, so that no other gets its
            identity.
        call_index: index of the call in the full schedule.
        calls: number of calls of the full schedule.
        piped: whether a pipeline makes the pass, not a loop of one's own.
    """

    schedule: Any
    call_index: int
    calls: int
    piped: bool


class Moments:
    """Finder of the moment of each pass; remembers the schedule of the last one."""

    def __init__(self) -> None:
        self._storage: Any = None
        self._pointer = 0

    def goes_on(self, timestep: Any, schedule: Any) -> bool:
        """Whether a timestep is a view of the schedule of the current generation.

        No other generation has such views. The pipeline that made the last pass therefore makes
        this one.
        """
        ours = schedule is not None and schedule is self._storage
        return ours and self._pointer != 0 and _pointer(timestep) == self._pointer

    def find(self, scheduler: Any, timestep: Any, scaled: bool, piped: bool) -> Moment:
        """Find the position of a pass.

        Args:
            scheduler: the pipeline's scheduler.
            timestep: timestep that the denoiser gets.
            scaled: whether it may be a computed share of the schedule's timestep; the solver then
                counts the steps.
            piped: whether a pipeline makes the pass.

        Raises:
            StrategyError: the timestep is not on the schedule, or its position cannot be told.
        """
        timesteps: Tensor = scheduler.timesteps
        if scaled:
            return Moment(timesteps, call_index_by_step(scheduler), len(timesteps), piped)
        if isinstance(timestep, Tensor):
            _check_single(timestep)
        if isinstance(timestep, Tensor) and _is_view(timestep, timesteps):
            storage = timestep.untyped_storage()
            if self._storage is None or storage.data_ptr() != self._pointer:
                self._storage, self._pointer = storage, storage.data_ptr()
            call_index = int(timestep.storage_offset() - timesteps.storage_offset())
            return Moment(self._storage, call_index, len(timesteps), piped)
        return Moment(timesteps, _searched(scheduler, timestep, piped), len(timesteps), piped)


def _pointer(timestep: Any) -> int:
    return timestep.untyped_storage().data_ptr() if isinstance(timestep, Tensor) else 0


def _check_single(timestep: Tensor) -> None:
    """Refuse rows with several timesteps. Waits for the device if each row has a copy of one."""
    if timestep.numel() < 2 or not any(timestep.stride()):
        return
    if bool((timestep != timestep.flatten()[0]).any()):
        raise StrategyError(
            "one pass of the denoiser has rows of several timesteps, so that it is no call of "
            "the schedule; remove the strategy, or use a pipeline that makes one call at a time"
        )


def _is_view(timestep: Tensor, timesteps: Tensor) -> bool:
    """Whether a timestep lies in the storage of a schedule, or in that of a tensor it was copied
    from.
    """
    mine, whole = timestep.untyped_storage(), timesteps.untyped_storage()
    if timestep.dtype != timesteps.dtype:
        return False
    if mine.data_ptr() == whole.data_ptr():
        return True
    axes = zip(timestep.shape, timestep.stride(), strict=True)
    single = all(size == 1 or stride == 0 for size, stride in axes)
    return single and len(timesteps) > 1 and mine.nbytes() == whole.nbytes()


def _searched(scheduler: Any, timestep: Any, piped: bool) -> int:
    """Position of a timestep found by its value; waits for the device.

    Raises:
        StrategyError: it is not there, or its value occurs more than once.
    """
    timesteps: Tensor = scheduler.timesteps
    value = timestep.flatten()[0] if isinstance(timestep, Tensor) else torch.as_tensor(timestep)
    places = (timesteps == value.to(timesteps.device)).nonzero().flatten().tolist()
    if len(places) == 1:
        return int(places[0])
    if not places and piped and hasattr(scheduler, "step_index"):
        return call_index_by_step(
            scheduler
        )  # The latent upscaler hands out the logarithm of its noise level.
    reason = "is not on the schedule of the pipeline's scheduler"
    if places:
        reason = "occurs more than once in the schedule and was copied on its way to the denoiser"
    raise StrategyError(
        f"the denoiser was called at timestep {float(value)}, which {reason}; run it through the "
        "pipeline that the strategy was applied to, or remove the strategy"
    )


def call_index_by_step(scheduler: Any) -> int:
    """Index of the next call, from the number of steps that a solver has made.

    Raises:
        StrategyError: the solver does not count its steps.
    """
    if not hasattr(scheduler, "step_index"):
        raise StrategyError(
            f"{type(scheduler).__name__} does not count its steps, and this denoiser is not given "
            "the timestep itself; use a scheduler that has `step_index`"
        )
    made = scheduler.step_index
    return int((scheduler.begin_index or 0) if made is None else made)
