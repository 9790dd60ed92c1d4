"""ParaDiGMS: several calls in one batch (Shih et al., 2023, arXiv 2305.16317, algorithm 1).

The states of the next calls are guessed, and the network runs on all of them at once. Its
predictions give better guesses, by a Picard iteration. The window slides to the first state that
still changes. A call whose state no longer changes is answered with the prediction made there, and
the network does not run. The pipeline makes the steps, by a deterministic scheduler of order 1.

The paper adds up `step(state) - state` over the window. Here the solver's factor of the state acts
on the new guess, as in the pipeline's step; the fixed point is the same. Each image has a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from accel.caching.call_window import Window, change, repeated
from accel.call_records import Recorder
from accel.clock import CallListener, Clock
from accel.compatibility.attention_processors import Processors, Trait, attentions
from accel.compatibility.context_parallel import check_all_tokens
from accel.patching.denoiser_output import as_output, prediction, refilled
from accel.patching.layers import Forward
from accel.patching.replacing import Undo, replace_forward, untraced
from accel.pipelines.manners import Kind
from accel.sites import Sites
from accel.solvers import linear_steps
from accel.solvers.linear_steps import LinearSteps
from strategies import StrategyError
from strategies.methods.paradigms import ParaDiGMS

_MOVED = 0.02  # Largest relative departure of a state from its steps; rounding is far below.
_OUT = "take methods.paradigms out of the strategy"
LOOP = f"methods.paradigms needs the pipeline's own call, not a loop around its network; {_OUT}"
SPLIT = (
    "methods.paradigms needs both halves of a doubled batch at once, and this network is called "
    f"for each half by itself; {_OUT}"
)
MORE = f"methods.paradigms knows guidance of two passes, and this pipeline makes more; {_OUT}"
CHANGED = (
    "methods.paradigms steps from call to call by the solver and plain guidance alone, but "
    "something else changes the latents in between, as a callback, a mask or a scaled norm does; "
    f"{_OUT}"
)


def attach(sites: Sites, clock: Clock, knobs: ParaDiGMS, recorder: Recorder) -> Undo:
    """Compute windows of calls until undone.

    Raises:
        StrategyError: attention processors that read rows across each other, or shared tokens.
    """
    if knobs.is_neutral():
        return lambda: None
    check_all_tokens(sites.denoiser, "paradigms")
    Processors(clock, "paradigms", attentions(sites.denoiser), [Trait.ROWS])
    wrap = Windows(sites, clock, knobs, recorder).wrap
    return replace_forward(sites.denoiser, wrap, traced=False)


class Windows(CallListener):
    """Guesses and predictions of the calls ahead, for each image of the batch."""

    def __init__(self, sites: Sites, clock: Clock, knobs: ParaDiGMS, recorder: Recorder) -> None:
        self.clock, self.knobs, self.recorder, self.sites = clock, knobs, recorder, sites
        clock.asks = True
        clock.listeners.insert(0, self)  # It decides whether others see the call.
        self.clear()

    def clear(self) -> None:
        self._steps: LinearSteps | None = None
        self._factor = 1.0  # From the schedule's timesteps to those that the network gets.
        self._kind: Kind = "none"
        self._made: list[dict[int, Tensor]] = []  # Predictions `[halves, ...]` by image and call.
        self._states: list[dict[int, Tensor]] = []  # Guesses by image and call.
        self._missing: list[int] = []
        self._window: Window | None = None

    @property
    def _halves(self) -> int:
        return 2 if self._kind == "halves" else 1

    @property
    def _last(self) -> bool:
        """Whether no further pass of this call follows."""
        return self._kind != "passes" or self.clock.guidance_pass == 1

    def begin(self) -> None:
        clock = self.clock
        if clock.guiding is None:
            raise StrategyError(LOOP)
        self._kind = clock.guiding.kind
        if clock.guidance_pass > (self._kind == "passes"):
            raise StrategyError(SPLIT if self._kind == "halves" else MORE)
        if not self._made:
            images, left = divmod(clock.rows, self._halves)
            if left:
                raise StrategyError(SPLIT)
            self._made = [{} for _ in range(images)]
            self._states = [{} for _ in range(images)]
        self._missing = [n for n, made in enumerate(self._made) if clock.call not in made]
        clock.idle = not self._missing

    def wrap(self, original: Forward) -> Forward:
        """Wrapper of the denoiser's forward."""

        def forward(*args: Any, **kwargs: Any) -> Any:
            if self.clock.idle:
                return as_output(self._answer(None), kwargs, self.sites.output)
            given = dict(zip(self.sites.inputs, args, strict=False)) | kwargs
            output, fresh = self._run(original, given)
            return refilled(output, self._answer(fresh))

        return forward

    @untraced
    def _answer(self, fresh: Tensor | None) -> Tensor:
        """Predictions of this pass, in the order of the pipeline's rows.

        Args:
            fresh: predictions `[halves, images, ...]` of the images that ran.
        """
        call, rows = self.clock.call, []
        for image, made in enumerate(self._made):
            if fresh is not None and image in self._missing:
                rows.append(fresh[:, self._missing.index(image)])
            elif self._kind == "passes":
                rows.append(made[call][self.clock.guidance_pass].unsqueeze(0))
            else:
                rows.append(made[call])
            if self._last:
                made.pop(call, None)
        return torch.cat([torch.stack(side) for side in zip(*rows, strict=True)])

    @untraced
    def _run(self, original: Forward, given: dict[str, Any]) -> tuple[Any, Tensor]:
        """Run the network on the window of every image that has no prediction of this call.

        Returns:
            The network's output, and the predictions `[halves, images, ...]` of this call.
        """
        if self._steps is None:
            self._start(given)
        steps = self._steps
        assert steps is not None
        if self.clock.guidance_pass == 0:
            self._window = self._planned(given, steps)
        window = self._window
        assert window is not None
        output = original(**self._arguments(given, window, steps))
        made = prediction(output)
        made = made.view(len(window.calls), self._halves, len(window.images), *made.shape[1:])
        self.recorder.now.running = made.shape[:3].numel()
        window.made.append(made)
        if self._last:
            self._advance(window, steps)
        return output, made[0]

    def _planned(self, given: dict[str, Any], steps: LinearSteps) -> Window:
        call = self.clock.call
        calls = range(call, min(call + self.knobs.window, self.clock.calls))
        state = self._state(given, steps)
        guesses = self._guesses(state, calls)
        return Window(calls, self._missing, guesses, self._departures(state), [])

    def _advance(self, window: Window, steps: LinearSteps) -> None:
        """Make new guesses of all states of a window, and keep what stands."""
        made = torch.cat(window.made, 1)
        predicted = self._guided(made, window)
        states = [window.guesses[0]]
        for place, call in enumerate(window.calls):
            states.append(states[-1] * steps.keep[call] + predicted[place] * steps.move[call])
        changes = [change(states[n], window.guesses[n]) for n in range(1, len(window.calls))]
        self._keep(made, states, window, torch.stack([window.moved, *changes]).tolist())

    def _start(self, given: dict[str, Any]) -> None:
        """Read the solver's numbers, and what the pipeline asks of it. Waits for the device."""
        guiding = self.clock.guiding
        assert guiding is not None
        for word in ("eta", "guidance_rescale"):
            if guiding.setting(word):
                raise StrategyError(
                    f"methods.paradigms does not go with {word}={guiding.setting(word)}; leave "
                    f"{word} out of the call, or methods.paradigms out of the strategy"
                )
        beside = [n for n, v in given.items() if "residual" in n and v is not None]
        if beside:
            raise StrategyError(
                "methods.paradigms cannot guess what a ControlNet or an adapter adds "
                f"({beside[0]}) at the calls ahead; {_OUT}"
            )
        self._steps = linear_steps.schedule_numbers(self.clock.solver)
        time = float(torch.as_tensor(given[self.sites.time]).flatten()[0])
        own = self._steps.times[self.clock.call]
        self._factor = time / own if own else 1.0
        if min(abs(self._factor - 1), abs(self._factor * 1000 - 1)) > 1e-2:
            raise StrategyError(
                f"methods.paradigms does not know which times {type(self.sites.denoiser).__name__} "
                f"gets (here {time:g} at timestep {own:g}); {_OUT}"
            )

    def _state(self, given: dict[str, Any], steps: LinearSteps) -> Tensor:
        """The pipeline's latents `[images, ...]` of the images that run."""
        rows: Tensor = self.sites.sample(given)[self._missing]
        return rows.float() / steps.scale[self.clock.call]

    def _departures(self, state: Tensor) -> Tensor:
        """Departure of the pipeline's latents from where the steps lead, relative to their size."""
        known = [self._states[n].get(self.clock.call) for n in self._missing]
        found = [
            torch.zeros((), device=now.device)
            if before is None
            else (now - before).norm() / now.norm().clamp(min=1e-6)
            for now, before in zip(state, known, strict=True)
        ]
        return torch.stack(found)

    def _guesses(self, state: Tensor, calls: Sequence[int]) -> list[Tensor]:
        """A guess `[images, ...]` of the state before each call; the first one is exact."""
        found = [state]
        for call in calls[1:]:
            rows = [
                self._states[n].get(call, last)
                for n, last in zip(self._missing, found[-1], strict=True)
            ]
            found.append(torch.stack(rows))
        return found

    def _arguments(
        self, given: dict[str, Any], window: Window, steps: LinearSteps
    ) -> dict[str, Any]:
        """Arguments of the network for all rows of the window."""
        calls, rows = window.calls, self.clock.rows
        images = rows // self._halves
        index = [half * images + n for half in range(self._halves) for n in window.images]
        own: Tensor = given[self.sites.inputs[0]]
        time = torch.as_tensor(given[self.sites.time])
        made = {
            name: repeated(value, rows, index, len(calls))
            for name, value in given.items()
            if name not in (self.sites.inputs[0], self.sites.time)
        }
        sides = [
            torch.cat([guess * steps.scale[call]] * self._halves).to(own.dtype)
            for call, guess in zip(calls, window.guesses, strict=True)
        ]
        times = [steps.times[call] * self._factor for call in calls for _ in index]
        made[self.sites.inputs[0]] = torch.cat(sides)
        made[self.sites.time] = torch.tensor(times, dtype=time.dtype, device=own.device)
        return made

    def _guided(self, made: Tensor, window: Window) -> Tensor:
        """Predictions `[calls, images, ...]` that the solver steps with."""
        guiding = self.clock.guiding
        assert guiding is not None
        found = made[:, 0].float()
        if self._kind != "none":
            found = guiding.combined(made.float(), self.clock.conditional)
        shape = window.guesses[0].shape
        if found.shape[2] == 2 * shape[1]:  # With a predicted variance.
            found = found[:, :, : shape[1]]
        if found.shape[1:] != shape:
            raise StrategyError(
                "methods.paradigms needs a network whose input has the channels of its prediction "
                f"(here {tuple(shape[1:])} and {tuple(found.shape[2:])}); {_OUT}"
            )
        return found

    def _keep(
        self,
        made: Tensor,
        states: Sequence[Tensor],
        window: Window,
        told: Sequence[Sequence[float]],
    ) -> None:
        """Keep the predictions of the calls whose state stands, and all new guesses.

        Args:
            made: predictions `[calls, halves, images, ...]`.
            states: new states before each call, and after the last.
            window: the window.
            told: departure of each image's latents; then the change of each further call's guess.
        """
        steps, calls = self._steps, window.calls
        assert steps is not None
        moved, *changes = told
        if max(moved) > _MOVED:
            raise StrategyError(CHANGED)
        for place, image in enumerate(window.images):
            stand = 1
            for number, found in enumerate(changes, start=1):
                if found[place] > self.knobs.tolerance**2 * steps.noise[calls[number] - 1]:
                    break
                stand += 1
            self._made[image] = {calls[n]: made[n, :, place] for n in range(1, stand)}
            ahead = zip(range(calls[0] + 1, calls[-1] + 2), states[1:], strict=True)
            self._states[image] = {call: state[place] for call, state in ahead}
