"""The accelerated sampler: a strategy applied to an unmodified diffusers pipeline.

`apply` wraps modules of this one pipeline instance, `remove` takes every wrapper off again. The
pipeline's own `__call__` runs unchanged, so image-to-image, ControlNet, callbacks and everything
else work as they do without a strategy.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from accel import families, schedulers
from accel.clock import Clock, counted, position
from accel.measure import Measure
from accel.methods import METHODS
from accel.outputs import prediction
from accel.patching import Forward, Undo, replace_forward, undo_all, untraced
from accel.records import CallRecord, Recorder
from strategies import Strategy, StrategyError


class Sampler:
    """A strategy attached to a pipeline; made by `apply`."""

    def __init__(self, pipe: Any, strategy: Strategy, set_scheduler: bool) -> None:
        family, self.sites = families.find(pipe)
        if family != strategy.family:
            raise StrategyError(
                f"the strategy is for family {strategy.family!r}, but {type(pipe).__name__} is of "
                f"family {family!r}"
            )
        self.strategy, self.recorder = strategy, Recorder()
        self.measure = Measure()
        self._clock = Clock(strategy.calls)
        self._solver = Solver(self._clock)
        self._pipe = weakref.ref(pipe)
        self._undos: list[Undo] = []
        try:
            self._fit_scheduler(pipe, set_scheduler)
            methods = strategy.canonical().methods  # So that equal digests do the same.
            for name, attach in METHODS.items():
                if name in methods:
                    knobs = methods[name]
                    self._undos.append(attach(self.sites, self._clock, knobs, self.recorder))
            self._undos.append(replace_forward(self.sites.denoiser, self._wrap, traced=False))
            self._undos.append(self._free_at_the_end(pipe))
        except BaseException:
            self.detach()
            raise

    def detach(self) -> None:
        """Put everything back as it was."""
        undo_all(self._undos)
        self._solver.undo()
        self._clock.clear()

    def _fit_scheduler(self, pipe: Any, swap: bool) -> None:
        before = pipe.scheduler
        given = type(before).__name__
        schedulers.check(before, self.sites)
        if given == self.strategy.scheduler:
            return
        if not swap:
            raise StrategyError(
                f"the strategy is for {self.strategy.scheduler}, but the pipeline has {given}; "
                "pass set_scheduler=True to accel.apply, or set pipe.scheduler"
            )
        after = schedulers.make(before, self.strategy.scheduler)
        schedulers.check(after, self.sites)
        pipe.scheduler = after

        there = self._pipe

        def undo() -> None:
            pipe = there()
            if pipe is not None and pipe.scheduler is after:
                pipe.scheduler = before

        self._undos.append(undo)

    def _wrap(self, original: Forward) -> Forward:
        names = self.sites.inputs

        def forward(*args: Any, **kwargs: Any) -> Any:
            given = dict(zip(names, args, strict=False)) | kwargs
            device = given[names[0]].device.type
            # In one frame, which is not traced; what it calls is, where the denoiser is compiled.
            with self.measure.call(self.recorder, device) if self.measure.on else nullcontext():
                self._begin(given)
                output = original(*args, **kwargs)
                self._end(output)
            return output

        return forward

    @untraced
    def _end(self, output: Any) -> None:
        self._clock.end(prediction(output))

    @untraced
    def _begin(self, given: dict[str, Any]) -> None:
        sample, timestep = given[self.sites.inputs[0]], given["timestep"]
        pipe = self._pipe()
        if pipe is None:
            raise StrategyError(
                "the pipeline that the strategy was applied to is gone; apply it to the one that "
                "runs now"
            )
        scheduler = pipe.scheduler
        if type(scheduler).__name__ != self.strategy.scheduler:
            raise StrategyError(
                f"the strategy is for {self.strategy.scheduler}, but the pipeline now has "
                f"{type(scheduler).__name__}; apply a strategy for it"
            )
        self._solver.watch(scheduler)
        generation = self._clock.generation
        scaled = self.sites.scaled_time
        timesteps = scheduler.timesteps
        place = counted(scheduler) if scaled else position(timesteps, timestep)
        self._clock.tick(timesteps, place, sample)
        if generation != self._clock.generation:
            self.recorder.clear()
            doubled = self.sites.doubled
            self._clock.per_image = 2 if doubled is not None and doubled(given) else 1
        clock = self._clock
        self.recorder.begin(CallRecord(clock.call, clock.branch, len(sample), sample.device.type))

    def _free_at_the_end(self, pipe: Any) -> Undo:
        """Drop what is cached when the pipeline says it is done, wherever its schedule ended."""
        there, clock = self._pipe, self._clock
        if not hasattr(type(pipe), "maybe_free_model_hooks"):
            return lambda: None

        def done() -> None:
            clock.clear()
            owner: Any = there()
            type(owner).maybe_free_model_hooks(owner)

        pipe.maybe_free_model_hooks = done

        def undo() -> None:
            pipe = there()
            if pipe is not None and vars(pipe).get("maybe_free_model_hooks") is done:
                del pipe.maybe_free_model_hooks

        return undo


class Solver:
    """Watches the scheduler's `step`, whose input tells how many images there are."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: Any = None
        self._own: dict[str, Any] = {}
        self._step: Any = None

    def watch(self, scheduler: Any) -> None:
        """Watch this scheduler from now on, and no other."""
        if scheduler is self._watched:
            return
        self.undo()
        self._own = {k: v for k, v in vars(scheduler).items() if k == "step"}
        original, clock = scheduler.step, self._clock

        @functools.wraps(original)  # Pipelines look up which arguments it takes.
        def step(model_output: Any, *args: Any, **kwargs: Any) -> Any:
            rows = len(model_output)
            # A loop of one's own may step one half where the pipeline steps both.
            clock.images = rows // clock.per_image if rows == clock.rows else rows
            return original(model_output, *args, **kwargs)

        scheduler.step = step
        self._watched, self._step = scheduler, step

    def undo(self) -> None:
        """Watch nothing."""
        if self._watched is not None and vars(self._watched).get("step") is self._step:
            del self._watched.step
            vars(self._watched).update(self._own)  # Another sampler's, on a shared scheduler.
        self._watched = self._step = None


# By the id of the denoiser. The wrapper on the denoiser keeps its sampler alive, and nothing else
# does, so both go together.
_SAMPLERS: weakref.WeakValueDictionary[int, Sampler] = weakref.WeakValueDictionary()


def _find(pipe: Any) -> Sampler | None:
    _, sites = families.find(pipe)
    return _SAMPLERS.get(id(sites.denoiser))


def apply(pipe: Any, strategy: Strategy, set_scheduler: bool = False) -> None:
    """Accelerate a pipeline. Use it as before, with `num_inference_steps=strategy.steps`.

    A strategy that was applied before is replaced.

    Args:
        pipe: a diffusers pipeline of a supported family.
        strategy: from `strategies.load`.
        set_scheduler: put the strategy's scheduler in where the pipeline has another; `remove`
            puts the old one back.

    Raises:
        StrategyError: an unsupported pipeline, another family or scheduler, or knobs that this
            model cannot take. The pipeline is then as it was without any strategy.
    """
    remove(pipe)
    sampler = Sampler(pipe, strategy, set_scheduler)
    _SAMPLERS[id(sampler.sites.denoiser)] = sampler


def remove(pipe: Any) -> None:
    """Take the strategy off; without one, do nothing.

    Raises:
        StrategyError: an unsupported pipeline.
    """
    sampler = _find(pipe)
    if sampler is not None:
        del _SAMPLERS[id(sampler.sites.denoiser)]
        sampler.detach()


@contextmanager
def accelerated(pipe: Any, strategy: Strategy, set_scheduler: bool = False) -> Iterator[Any]:
    """`apply` for the length of a `with` block, and `remove` however it is left."""
    apply(pipe, strategy, set_scheduler)
    try:
        yield pipe
    finally:
        remove(pipe)


def stats(pipe: Any) -> list[CallRecord]:
    """What ran at each call of the last generation, in order.

    Raises:
        StrategyError: no strategy is applied.
    """
    return list(_require(pipe).recorder.calls)


@contextmanager
def measuring(pipe: Any, time: bool = False, macs: bool = False) -> Iterator[None]:
    """Fill `seconds` or `macs` of the records of generations inside the `with` block.

    Counting slows the generation down, so ask for one at a time.

    Raises:
        StrategyError: no strategy is applied.
    """
    measure = _require(pipe).measure
    measure.time, measure.macs = time, macs
    try:
        yield
    finally:
        measure.finish()
        measure.time = measure.macs = False


def _require(pipe: Any) -> Sampler:
    sampler = _find(pipe)
    if sampler is None:
        raise StrategyError("no strategy is applied to this pipeline; call accel.apply first")
    return sampler
