"""The call clock: it follows the passes of the denoiser through one generation after another.

Where a pass is in its generation is found by `accel.moments`, never by counting across generations,
so an interrupted image cannot shift the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from accel.moments import Moment
from accel.pipelines.guiding import Guiding
from accel.token_selection import Selection
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
        """A pass has run; `output` is the prediction of the rows that ran."""

    def step(self) -> None:
        """The solver is about to make a step."""

    def fold(self) -> None:
        """From this pass on the denoiser runs once for both halves of guidance."""


class Clock:
    """Where the current generation is.

    Attributes:
        call: index of the current call in the full schedule.
        branch: how many denoiser passes this call has had before; 1 in the second pass of
            pipelines that do guidance as two calls.
        part: the same, counted from the solver's last step: pipelines that draw one image in
            several views step after each view.
        parts: passes for the last step of the call before this one; 1 at a generation's first call.
        first: index of this generation's first call; above 0 for image-to-image.
        generation: counts generations.
        rows, size, device: of the denoiser's input `[rows, c, *size]`.
        selection: the image tokens that run in this pass, or None for all of them.
        asks: a method has to know how the pipeline guides.
        partial: whether a call is planned to run on a selection.
        reuses: whether a method reuses results, so that a module may not run at some calls.
        running: rows that the denoiser's blocks get; fewer where a half of guidance sits out.
        half: of a doubled batch, which half runs alone at this pass; None where both run.
        raw: what the network predicted in this pass, where the pipeline is given something else.
        idle: this pass does not run at all, and listeners are not told about it.
        conditional: which half of guidance, or which of its two passes, has the prompt.
        guiding: how the pipeline says that it guides in this generation; None where nobody asks,
            or in a loop of one's own.
        images: of the batch, from what the solver got at the call before; None at a generation's
            first call.
        per_image: rows that the solver gets for each image where it gets the denoiser's.
        schedule: what passes of this generation share; None before the first.
        listeners: told about every pass, in this order.
    """

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.call = -1
        self.branch = self.part = 0
        self.parts = 1
        self.stepped = False
        self.first = 0
        self.generation = 0
        self.rows = self.running = 0
        self.size = (0, 0)
        self.device = torch.device("cpu")
        self.images: int | None = None
        self.per_image = 1
        self.selection: Selection | None = None
        self.reuses = False
        self.half: int | None = None
        self.idle = False
        self.raw: Tensor | None = None
        self.conditional = 1
        self.guiding: Guiding | None = None
        self.asks = False
        self.partial: Callable[[int], bool] = lambda call: False
        self.listeners: list[Listener] = []
        self.schedule: Any = None

    @property
    def halves(self) -> bool:
        """Whether the batch holds every image twice, for guidance, as far as is known."""
        return self.images is not None and self.rows == 2 * self.images

    def starts(self, moment: Moment) -> bool:
        """Whether a pass belongs to another generation than the last one."""
        if moment.schedule is not self.schedule or moment.place < self.call:
            return True
        # A loop of one's own that starts again on the same schedule, after its first step.
        return not moment.piped and moment.place == self.call and self.stepped

    def tick(
        self,
        moment: Moment,
        sample: Tensor,
        guiding: Callable[[], Guiding | None] = lambda: None,
    ) -> None:
        """Note that the denoiser is about to run.

        Args:
            moment: where the pass is in its generation.
            sample: its input `[rows, c, h, w]` or, of FLUX, `[rows, tokens, c]`.
            guiding: how the pipeline guides; asked at the start of a generation.

        Raises:
            StrategyError: the schedule has another number of calls.
        """
        if self.starts(moment):
            if moment.calls != self.calls:
                raise StrategyError(
                    f"this run makes {moment.calls} calls of the denoiser, but the strategy is "
                    f"for {self.calls}; pass num_inference_steps=strategy.steps, or apply "
                    f"strategy.resample(calls={moment.calls})"
                )
            self.clear()
            self.schedule = moment.schedule
            self.generation += 1
            self.guiding = guiding() if self.asks else None
            self.first, self.call, self.branch, self.part = moment.place, moment.place, 0, 0
        elif moment.place == self.call:
            self.branch += 1
            self.part = 0 if self.stepped else self.part + 1
        else:
            self.parts = self.part + 1
            self.call, self.branch, self.part = moment.place, 0, 0
        self.stepped = False
        self.rows = self.running = len(sample)
        self.size = (sample.shape[-2], sample.shape[-1])
        self.device = sample.device
        self.half, self.idle, self.raw = None, False, None
        for listener in self.listeners:
            listener.begin()
            if self.idle:  # The first of them says so.
                self.running = 0
                return

    def step(self, rows: int) -> None:
        """Note that the solver makes a step, from a prediction of so many rows."""
        # A loop of one's own may step one half where the pipeline steps both.
        self.images = rows // self.per_image if rows == self.rows else rows
        self.stepped = True
        for listener in self.listeners:
            listener.step()

    def end(self, output: Tensor) -> None:
        """Note that the denoiser has run."""
        for listener in [] if self.idle else self.listeners:
            listener.end(output if self.raw is None else self.raw)

    def fold(self) -> None:
        """Tell every listener that guidance is over."""
        for listener in self.listeners:
            listener.fold()

    def clear(self) -> None:
        """Forget the generation; the next pass starts another."""
        self.schedule, self.images, self.parts, self.stepped = None, None, 1, False
        self.selection, self.half, self.raw, self.guiding = None, None, None, None
        for listener in self.listeners:
            listener.clear()
