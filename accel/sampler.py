"""The sampler: one strategy on one pipeline.

It follows the passes of the network and stays attached.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from torch import nn

from accel import families, registry
from accel.caching import control_networks
from accel.call_records import CallRecord, Recorder
from accel.clock import Clock
from accel.compatibility.placement import Placement
from accel.methods import in_order
from accel.moments import Moment, Moments
from accel.patching.denoiser_output import prediction
from accel.patching.layers import Forward, Gate
from accel.patching.replacing import (
    Attachment,
    Undo,
    attaching,
    replace_forward,
    undo_all,
    untraced,
)
from accel.pipelines import guiding, ownership
from accel.pipelines.callers import calling, holder
from accel.pipelines.guiding import Guiding
from accel.pipelines.overrides import override
from accel.profiling import Profiler
from accel.solvers import schedulers
from accel.solvers.exchange import exchange
from accel.solvers.observer import SchedulerObserver
from strategies import Strategy, StrategyError

Fit = Callable[[str, int], Strategy]  # From the class of a solver and the number of calls of a run.


class Sampler:
    """A strategy attached to a pipeline; made by `apply`.

    Attributes:
        strategy: applied strategy.
        sites: sites of the network at the time the strategy was attached last.
        network: the denoiser, without its wrappers.
        pipe: function that returns the pipeline, or None if it is gone.
        chosen: whether the next generation is its own, where a pipeline has several strategies.
        group: object that holds several strategies of one pipeline, this one among them.
        beside: samplers of further networks that make some of the calls on the same schedule, as
            Wan 2.2's `transformer_2` does at low noise; each has a cache of its own.
    """

    def __init__(
        self,
        pipe: Any,
        strategy: Strategy,
        set_scheduler: bool,
        name: str | None = None,
        first: Sampler | None = None,
        fit: Fit | None = None,
    ) -> None:
        self.strategy, self._name, self._first, self._fit = strategy, name, first, fit
        self.chosen, self.group = True, None
        self.recorder: Recorder = Recorder() if first is None else first.recorder
        self.measure: Profiler = Profiler() if first is None else first.measure
        self.pipe = weakref.ref(pipe)
        self.beside: list[Sampler] = []
        self._undos: list[Undo] = []
        self._attached: list[Undo] = []
        try:
            self._locate(pipe)
            if first is not None:
                self._checked = pipe.scheduler
                self._attach(pipe)
                return
            if fit is None:
                swapped = exchange(pipe, strategy.solver_text, self.sites, set_scheduler)
                self._undos.append(swapped)
            else:
                schedulers.check_scheduler(pipe.scheduler, self.sites)
            self._checked = pipe.scheduler
            self._attach(pipe)
            self._undos.append(override(pipe, "progress_bar", self.starts))
            self._undos.append(override(pipe, "maybe_free_model_hooks", self.is_over))
            for other in families.others(pipe):
                self.beside.append(Sampler(pipe, strategy, False, other, self, fit))
        except BaseException:
            self.detach()
            raise

    @property
    def networks(self) -> list[nn.Module]:
        """All networks that it acts on."""
        return [self.network, *(other.network for other in self.beside)]

    @property
    def fits_any(self) -> bool:
        """Whether it fits any number of steps of any solver."""
        return self._fit is not None

    def detach(self) -> None:
        """Put everything back as it was."""
        for other in self.beside:
            other.detach()
        self._take_off()
        undo_all(self._undos)

    def _locate(self, pipe: Any) -> None:
        """Find the network that the pipeline has now."""
        family, self.sites = families.find_sites(pipe, self._name)
        if family != self.strategy.family:
            raise StrategyError(
                f"the strategy is for family {self.strategy.family!r}, but {type(pipe).__name__} "
                f"is of family {family!r}"
            )
        self.network = self.sites.denoiser

    def _attach(self, pipe: Any) -> None:
        """Attach the methods to the network."""
        self._lock = registry.lock(self.network)
        self._gate, self._moments = Gate(), Moments()
        self._clock = Clock(self.strategy.calls, self.strategy.steps)
        self._clock.conditional = self.sites.conditional
        self._solver = SchedulerObserver(self._clock)
        attachment = Attachment(self._gate, holder(pipe, self.network))
        methods = self.strategy.canonical().methods  # So that equal digests do the same.
        try:
            with attaching(attachment):
                for name, attach in in_order(methods):
                    knobs = methods[name]
                    self._attached.append(attach(self.sites, self._clock, knobs, self.recorder))
                    if self._clock.asks:
                        guiding.check_guiding(pipe, name)
        except BaseException:
            undo_all(attachment.undos)
            raise
        with attaching(Attachment(None, attachment.outer, patches=attachment.patches)):
            self._attached.append(replace_forward(self.network, self._wrap, traced=False))
        if "guidance" in methods:
            control = getattr(pipe, "controlnet", None)
            self._attached.append(control_networks.attach(control, self._clock, self._place))
        self._entry = attachment.patches[-1]
        self._placement = Placement(self.sites, attachment)

    def _take_off(self) -> None:
        undo_all(self._attached)
        if hasattr(self, "_solver"):
            self._solver.undo()
            self._clock.clear()

    def _settle(self) -> bool:
        """Attach again if the network has changed. Returns whether it had.

        Raises:
            StrategyError: the strategy does not fit the network as it is now.
        """
        pipe = self._owner()
        if pipe.scheduler is not self._checked:
            schedulers.check_scheduler(pipe.scheduler, self.sites)
            self._checked = pipe.scheduler
        if self._placement.holds(holder(pipe, self.network)):
            return False
        self._take_off()
        self._locate(pipe)
        self._attach(pipe)
        return True

    def _owner(self) -> Any:
        pipe = self.pipe()
        if pipe is None:
            raise StrategyError(
                "the pipeline that the strategy was applied to is gone; apply it to the one that "
                "runs now"
            )
        return pipe

    def _refit(self, calls: int) -> bool:
        """Attach the strategy for a run of so many calls, if it is a rule. Returns whether it was.

        Raises:
            StrategyError: the rule has nothing for so few calls.
        """
        solver = type(self._owner().scheduler).__name__
        now = (self.strategy.scheduler, self.strategy.calls)
        if self._fit is None or now == (solver, calls):
            return False
        self.strategy = self._fit(solver, calls)
        self._take_off()
        self._locate(self._owner())
        self._attach(self._owner())
        return True

    def starts(self) -> None:
        """Called before the pipeline makes its calls."""
        with self._lock:
            self._settle()
        for other in self.beside:
            other.starts()

    def is_over(self) -> None:
        """Drop everything cached when the pipeline is done, wherever its schedule ended."""
        for one in (self, *self.beside):
            one._clock.clear()

    def _wrap(self, original: Forward) -> Forward:
        names = self.sites.inputs

        def forward(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                given = dict(zip(names, args, strict=False)) | kwargs
                if not self._moments.goes_on(given[self.sites.time], self._clock.schedule):
                    if not (self._first or self).chosen:
                        return original(*args, **kwargs)
                    pipe = calling(self.network, registry.pipes())
                    if not ownership.is_mine(self._first or self, pipe, given[self.sites.time]):
                        return original(*args, **kwargs)
                    self._piped = pipe is not None
                moment = self._moment(given, self._piped)
                if self._clock.starts(moment) and (self._refit(moment.calls) or self._settle()):
                    return self._entry.run(*args, **kwargs)
                return self._run(moment, given, original, args, kwargs)

        return forward

    def _run(
        self, moment: Moment, given: dict[str, Any], original: Forward, args: Any, kwargs: Any
    ) -> Any:
        device = self.sites.sample(given).device.type
        # In one frame, which is not traced; what it calls is, where the denoiser is compiled.
        with self.measure.call(self.recorder, device) if self.measure.on else nullcontext():
            self._begin(moment, given)
            self._gate.on = True
            try:
                output = original(*args, **kwargs)
            finally:
                self._gate.on = False
            self._end(output)
        return output

    def _moment(self, given: dict[str, Any], piped: bool) -> Moment:
        scheduler = self._owner().scheduler
        if self._fit is None and type(scheduler).__name__ != self.strategy.scheduler:
            raise StrategyError(
                f"the strategy is for {self.strategy.scheduler}, but the pipeline now has "
                f"{type(scheduler).__name__}; apply a strategy for it"
            )
        sites = self.sites
        counts = sites.scaled_time or (
            sites.scheduler_counts_calls and hasattr(scheduler, "step_index")
        )
        return self._moments.find(scheduler, given[sites.time], counts, piped)

    def _place(self, timestep: Any) -> int | None:
        """Index of the call of a timestep in the generation of the last pass, if it is of that."""
        if not self._moments.goes_on(timestep, self._clock.schedule):
            return None
        return self._moment({self.sites.time: timestep}, self._piped).call_index

    @untraced
    def _end(self, output: Any) -> None:
        self._clock.end(prediction(output))

    @untraced
    def _begin(self, moment: Moment, given: dict[str, Any]) -> None:
        clock, sample = self._clock, self.sites.sample(given)
        clock.solver = self._owner().scheduler
        self._solver.watch(clock.solver)
        generation = clock.generation
        clock.tick(moment, sample, self._guiding)
        if generation != clock.generation:
            if not self._goes_on(moment):
                self.recorder.clear()
            guided = self.sites.scheduler_sees_guidance
            clock.scheduler_rows_per_image = 2 if guided is not None and guided(given) else 1
        record = CallRecord(clock.call, clock.guidance_pass, len(sample), sample.device.type)
        record.running = clock.active_rows
        self.recorder.begin(record)

    def _goes_on(self, moment: Moment) -> bool:
        """Whether another network has made calls of this generation."""
        first = self if self._first is None else self._first
        others = [one for one in (first, *first.beside) if one is not self]
        schedule = moment.schedule
        return any(
            o._clock.schedule is schedule and o._clock.call < moment.call_index for o in others
        )

    def _guiding(self) -> Guiding | None:
        return guiding.find_guiding(self._owner()) if self._piped else None
