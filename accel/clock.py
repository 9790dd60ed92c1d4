"""The call clock: it follows the passes of the denoiser through one generation after another.

The position of a pass in its generation comes from `accel.moments`. It is never counted across
generations, so an interrupted image cannot shift the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from accel.moments import Moment
from accel.pipelines.guiding import Guiding
from accel.token_selection import TokenSelection
from strategies import StrategyError
from strategies.plugins.former_names import FormerName, adopt_former


class CallListener:
    """Listener to the passes of the denoiser. Methods override the hooks that they need.

    `torch.compile` traces none of these hooks. Decisions about a call are therefore made in
    `begin`, and wrapped modules only read plain attributes.
    """

    def __init_subclass__(cls) -> None:
        adopt_former(cls, {"fold": "merge_guidance"})

    def clear(self) -> None:
        """Called when a generation is over or another one starts: forget everything."""

    def begin(self) -> None:
        """Called before each pass."""

    def end(self, output: Tensor) -> None:
        """Called after each pass; `output` is the prediction of the rows that ran."""

    def step(self) -> None:
        """Called before the solver makes a step."""

    def merge_guidance(self) -> None:
        """Called when the denoiser starts to run once for both halves of guidance."""


class Clock:
    """Position in the current generation.

    Attributes:
        calls: number of calls that the strategy is for.
        steps: number of steps that make them, for an error message.
        call: index of the current call in the full schedule.
        guidance_pass: number of denoiser passes of this call so far; 1 in the second pass of
            pipelines that make two passes for guidance.
        part: the same, counted from the solver's last step. Pipelines that generate one image in
            several views make a step after each view.
        parts: passes for the last step of the call before this one; 1 at a generation's first call.
        first: index of this generation's first call; above 0 for image-to-image.
        generation: number of the generation.
        rows, size, device: rows, size and device of the denoiser's input `[rows, c, *size]`.
        selection: image tokens that run in this pass, or None for all of them.
        asks: whether a method needs to know how the pipeline guides.
        runs_token_subset: predicate on a call's index: whether it is planned to run on a selection.
        half_alone_at: function from the index of the next call to the half of guidance that will
            run alone there; None if both run, or if that is not known yet.
        reuses: whether a method reuses results, so that a module may not run at some calls.
        active_rows: rows that the denoiser's blocks get; fewer if one half of guidance is left out.
        half: half of a doubled batch that runs alone at this pass; None if both run.
        raw: prediction of the network in this pass, if the pipeline is given another one.
        idle: whether this pass does not run at all; listeners are not called then.
        conditional: the half of guidance, or the pass of two, that has the prompt.
        guiding: how the pipeline guides in this generation; None if no method asks, or in a loop of
            one's own.
        images: number of images in the batch, from the solver's input at the call before; None at a
            generation's first call.
        scheduler_rows_per_image: rows of the solver's input for each image; 2 if the scheduler
            steps both halves of guidance.
        schedule: object that the passes of this generation share; None before the first.
        solver: the pipeline's scheduler.
        listeners: listeners, called in this order.
    """

    partial = FormerName("runs_token_subset")
    alone = FormerName("half_alone_at")
    running = FormerName("active_rows")
    per_image = FormerName("scheduler_rows_per_image")
    halves = FormerName("batched_guidance")

    def __init__(self, calls: int, steps: int | str = "strategy.steps") -> None:
        self.calls = calls
        self.steps = steps
        self.call = -1
        self.guidance_pass = self.part = 0
        self.parts = 1
        self.stepped = False
        self.first = 0
        self.generation = 0
        self.rows = self.active_rows = 0
        self.size = (0, 0)
        self.device = torch.device("cpu")
        self.images: int | None = None
        self.scheduler_rows_per_image = 1
        self.selection: TokenSelection | None = None
        self.reuses = False
        self.half: int | None = None
        self.idle = False
        self.raw: Tensor | None = None
        self.conditional = 1
        self.guiding: Guiding | None = None
        self.asks = False
        self.runs_token_subset: Callable[[int], bool] = lambda call: False
        self.half_alone_at: Callable[[int], int | None] = lambda call: None
        self.listeners: list[CallListener] = []
        self.schedule: Any = None
        self.solver: Any = None

    @property
    def batched_guidance(self) -> bool:
        """Whether the batch holds every image twice, for guidance, as far as is known."""
        return self.images is not None and self.rows == 2 * self.images

    def starts(self, moment: Moment) -> bool:
        """Whether a pass belongs to another generation than the last one."""
        if moment.schedule is not self.schedule or moment.call_index < self.call:
            return True
        # A loop of one's own that starts again on the same schedule, after its first step.
        return not moment.piped and moment.call_index == self.call and self.stepped

    def tick(
        self,
        moment: Moment,
        sample: Tensor,
        guiding: Callable[[], Guiding | None] = lambda: None,
    ) -> None:
        """Record that the denoiser is about to run.

        Args:
            moment: position of the pass in its generation.
            sample: the denoiser's input `[rows, c, h, w]`, or for FLUX `[rows, tokens, c]`.
            guiding: function that tells how the pipeline guides; called at the start of a
                generation.

        Raises:
            StrategyError: the schedule has another number of calls.
        """
        if self.starts(moment):
            if moment.calls != self.calls:
                raise StrategyError(
                    f"this run makes {moment.calls} calls of the denoiser, but the strategy is "
                    f"for {self.calls}; pass num_inference_steps={self.steps}, or pass "
                    f"resample=True to accel.apply, or apply "
                    f"strategy.resample(calls={moment.calls})"
                )
            self.clear()
            self.schedule = moment.schedule
            self.generation += 1
            self.guiding = guiding() if self.asks else None
            if self.guiding is not None and self.guiding.prompt is not None:
                self.conditional = self.guiding.prompt
            self.first, self.call, self.guidance_pass, self.part = (
                moment.call_index,
                moment.call_index,
                0,
                0,
            )
        elif moment.call_index == self.call:
            self.guidance_pass += 1
            self.part = 0 if self.stepped else self.part + 1
        else:
            self.parts = self.part + 1
            self.call, self.guidance_pass, self.part = moment.call_index, 0, 0
        self.stepped = False
        self.rows = self.active_rows = len(sample)
        self.size = (sample.shape[-2], sample.shape[-1])
        self.device = sample.device
        self.half, self.idle, self.raw = None, False, None
        for listener in self.listeners:
            listener.begin()
            if self.idle:  # The first of them says so.
                self.active_rows = 0
                return

    def step(self, rows: int) -> None:
        """Record that the solver makes a step, from a prediction of so many rows."""
        # A loop of one's own may step one half where the pipeline steps both.
        self.images = rows // self.scheduler_rows_per_image if rows == self.rows else rows
        self.stepped = True
        for listener in self.listeners:
            listener.step()

    def end(self, output: Tensor) -> None:
        """Record that the denoiser has run."""
        for listener in [] if self.idle else self.listeners:
            listener.end(output if self.raw is None else self.raw)

    def merge_guidance(self) -> None:
        """Tell every listener that guidance is over."""
        for listener in self.listeners:
            listener.merge_guidance()

    def clear(self) -> None:
        """Forget the generation; the next pass starts another."""
        self.schedule, self.images, self.parts, self.stepped = None, None, 1, False
        self.selection, self.half, self.raw, self.guiding = None, None, None, None
        for listener in self.listeners:
            listener.clear()
