"""The call clock: which call of the generation is the denoiser making now?

A call is found by its place in the scheduler's timesteps, never by counting across generations, so
an interrupted image cannot shift the next one. Pipelines iterate over `scheduler.timesteps`, and
what they hand to the denoiser is a view of that tensor: its storage offset is the place, without
any device synchronisation and also where a timestep occurs twice (PNDM, Heun). `set_timesteps`
makes a new tensor, which is how a new generation is recognised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from accel.selection import Selection
from strategies import StrategyError


class Listener:
    """Something that follows the passes of the denoiser; methods override what they need.

    None of it is traced by `torch.compile`, so what a call does is decided in `begin`, and wrapped
    modules only read plain attributes.
    """

    def clear(self) -> None:
        """A generation is over or another one starts: forget everything."""

    def begin(self) -> None:
        """A pass is about to run."""

    def end(self, output: Tensor) -> None:
        """A pass has run; `output` is the prediction, of the shape of the denoiser's input."""

    def fold(self) -> None:
        """From this pass on the denoiser runs once for both halves of guidance."""


class Clock:
    """Where the current generation is.

    Attributes:
        call: index of the current call in the full schedule.
        branch: how many denoiser passes this call has had before; 1 in the second pass of
            pipelines that do guidance as two calls.
        branches: passes of the call before this one; 1 at a generation's first call.
        first: index of this generation's first call; above 0 for image-to-image.
        generation: counts generations.
        rows, size, device: of the denoiser's input `[rows, c, *size]`.
        selection: the image tokens that run in this pass, or None for all of them.
        partial: whether a call is planned to run on a selection.
        reuses: whether a method reuses results, so that a module may not run at some calls.
        running: rows that the denoiser's blocks get; fewer where guidance is over.
        images: of the batch, from what the solver got at the call before; None at a generation's
            first call.
        per_image: rows that the solver gets for each image where it gets the denoiser's.
        listeners: told about every pass, in this order.
    """

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.call = -1
        self.branch = 0
        self.branches = 1
        self.first = 0
        self.generation = 0
        self.rows = self.running = 0
        self.size = (0, 0)
        self.device = torch.device("cpu")
        self.images: int | None = None
        self.per_image = 1
        self.selection: Selection | None = None
        self.reuses = False
        self.partial: Callable[[int], bool] = lambda call: False
        self.listeners: list[Listener] = []
        self._timesteps: Tensor | None = None

    @property
    def halves(self) -> bool:
        """Whether the batch holds every image twice, for guidance, as far as is known."""
        return self.images is not None and self.rows == 2 * self.images

    def tick(self, timesteps: Tensor, place: int, sample: Tensor) -> None:
        """Note that the denoiser is about to run.

        Args:
            timesteps: the scheduler's, `[calls]`.
            place: index of the call in them.
            sample: its input `[rows, c, h, w]` or, of FLUX, `[rows, tokens, c]`.

        Raises:
            StrategyError: the schedule has another number of calls.
        """
        if timesteps is not self._timesteps or place < self.call:
            if len(timesteps) != self.calls:
                raise StrategyError(
                    f"this run makes {len(timesteps)} calls of the denoiser, but the strategy is "
                    f"for {self.calls}; pass num_inference_steps=strategy.steps, or apply "
                    f"strategy.resample(calls={len(timesteps)})"
                )
            self.clear()
            self._timesteps = timesteps
            self.generation += 1
            self.first, self.call, self.branch = place, place, 0
        elif place == self.call:
            self.branch += 1
        else:
            self.branches = self.branch + 1
            self.call, self.branch = place, 0
        self.rows = self.running = len(sample)
        self.size = (sample.shape[-2], sample.shape[-1])
        self.device = sample.device
        for listener in self.listeners:
            listener.begin()

    def end(self, output: Tensor) -> None:
        """Note that the denoiser has run."""
        for listener in self.listeners:
            listener.end(output)

    def fold(self) -> None:
        """Tell every listener that guidance is over."""
        for listener in self.listeners:
            listener.fold()

    def clear(self) -> None:
        """Forget the generation; the next pass starts another."""
        self._timesteps, self.images, self.branches = None, None, 1
        self.selection = None
        for listener in self.listeners:
            listener.clear()


def position(timesteps: Tensor, timestep: Any) -> int:
    """The index of `timestep` in `timesteps`.

    Args:
        timesteps: `[calls]`.
        timestep: a view of one entry, as pipelines pass it, or an equal value.

    Raises:
        StrategyError: it is not there, or its value occurs more than once.
    """
    if isinstance(timestep, Tensor):
        if any(timestep.stride()) and bool((timestep != timestep.flatten()[0]).any()):
            raise StrategyError(
                "one pass of the denoiser has rows of several timesteps, so that it is no call of "
                "the schedule; remove the strategy, or use a pipeline that makes one call at a time"
            )
        same = timestep.untyped_storage().data_ptr() == timesteps.untyped_storage().data_ptr()
        if same and timestep.dtype == timesteps.dtype:
            return int(timestep.storage_offset() - timesteps.storage_offset())
        value = timestep.flatten()[0]
    else:
        value = torch.as_tensor(timestep)
    places = (timesteps == value.to(timesteps.device)).nonzero().flatten().tolist()
    if len(places) == 1:
        return int(places[0])
    reason = "is not on the schedule of the pipeline's scheduler"
    if places:
        reason = "occurs more than once in the schedule and was copied on its way to the denoiser"
    raise StrategyError(
        f"the denoiser was called at timestep {float(value)}, which {reason}; run it through the "
        "pipeline that the strategy was applied to, or remove the strategy"
    )


def counted(scheduler: Any) -> int:
    """The index of the call that comes next, from how many steps a solver has made.

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
