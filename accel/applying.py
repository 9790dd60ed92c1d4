"""Public functions of the accelerated sampler: apply a strategy to a diffusers pipeline, remove it.

`apply` wraps modules of the pipeline's network; `remove` takes every wrapper off again. The
pipeline's own `__call__` runs unchanged. Image-to-image, ControlNet, callbacks and everything else
therefore work as they do without a strategy.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diffusers import DiffusionPipeline

from accel import families, registry
from accel.call_records import CallRecord
from accel.choices import Choices
from accel.pipelines.with_settings import AcceleratedPipeline
from accel.sampler import Fit, Sampler
from strategies import Strategy, StrategyError
from strategies.files import find_strategy
from strategies.rules import Rule
from strategies.solvers import calls_of, steps_of
from strategies.text import brief

STEPS = 50  # Of a pipeline whose call has no default.
Source = Strategy | Rule | str | Path


def apply(
    pipe: Any,
    strategy: Source | Mapping[str, Source],
    set_scheduler: bool = False,
    resample: bool = False,
) -> None:
    """Accelerate a pipeline. Use it as before, with `num_inference_steps=strategy.steps`.

    A preset that is a rule, such as `deepcache-n3`, keeps the pipeline's solver and fits every
    number of steps. The others are for the solver and the number of steps that they name.

    A mapping of names to strategies attaches all of them. The first one is used until
    `accel.choose` chooses another; each sets its own solver.

    A strategy that was applied before is replaced. Other pipelines that share the network keep
    their strategies. The pipeline that makes a call is found on the call stack.

    Changes to the pipeline after `apply` (adapters, offloading, compilation, another network or
    solver) are noticed when the next generation starts. The strategy is then attached again, or the
    generation raises a StrategyError that says why it does not fit.

    Args:
        pipe: diffusers pipeline of a supported family.
        strategy: a `Strategy`, a strategy file, the name of a preset, a run's folder (its knee), a
            folder pulled from the hub, or a mapping of names to any of these.
        set_scheduler: whether to replace the pipeline's scheduler by the strategy's if they differ;
            `remove` puts the old one back.
        resample: whether to stretch the strategy over the calls that the pipeline makes with its
            own solver, whatever it was made for; its scores then say nothing.

    Raises:
        StrategyError: the pipeline is not supported, its family or scheduler is another, or the
            model cannot take some knob. The pipeline is then left without a strategy.
    """
    several = strategy if isinstance(strategy, Mapping) else {"": strategy}
    if not several:
        raise StrategyError("the mapping holds no strategy; give at least one")
    read = {
        name: one if isinstance(one, Strategy | Rule) else find_strategy(one)
        for name, one in several.items()
    }
    remove(pipe)
    if isinstance(strategy, Mapping):
        applied: Any = Choices(
            pipe, {name: _maker(pipe, one, True, resample) for name, one in read.items()}
        )
    else:
        applied = _maker(pipe, read[""], set_scheduler, resample)()
    if registry.sharing(applied.networks[0]) and not isinstance(pipe, DiffusionPipeline):
        applied.detach()
        raise StrategyError(
            f"{type(pipe).__name__} is no DiffusionPipeline and shares its denoiser with a "
            "pipeline that has a strategy, so that calls of the two cannot be told apart; remove "
            "that strategy first, or use a DiffusionPipeline"
        )
    registry.add(pipe, applied)
    if isinstance(applied, Choices):
        applied.choose(next(iter(read)))


def _maker(pipe: Any, one: Strategy | Rule, set_scheduler: bool, resample: bool) -> Any:
    """Function that attaches a strategy or a rule to a pipeline."""

    def make() -> Sampler:
        if isinstance(one, Strategy) and not resample:
            if not set_scheduler:
                _check_list(pipe, one)
            return Sampler(pipe, one, set_scheduler)
        family, _ = families.find_sites(pipe)
        fit = _fit(one, family)
        solver = type(pipe.scheduler).__name__
        return Sampler(pipe, fit(solver, _calls(pipe, solver)), False, fit=fit)

    return make


def _check_list(pipe: Any, one: Strategy) -> None:
    """Say for what a published list was made, if the pipeline has another solver.

    Raises:
        StrategyError: it has.
    """
    table, solver = one.provenance.get("table"), type(pipe.scheduler).__name__
    if (
        isinstance(table, str)
        and solver != one.scheduler
        and families.find_sites(pipe)[0] == one.family
    ):
        raise StrategyError(
            f"{one.name} lists what each of the {one.calls} calls of {one.steps} steps of "
            f"{one.scheduler} does ({brief(table)}), but the pipeline has {solver}; pass "
            "resample=True to stretch it over this solver's calls, or set_scheduler=True to take "
            "its solver"
        )


def _fit(one: Strategy | Rule, family: str) -> Fit:
    def fit(solver: str, calls: int) -> Strategy:
        if isinstance(one, Rule):
            return one.fitted(family, solver, calls)
        return one.resample(calls, steps_of(solver, calls), solver)

    return fit


def _calls(pipe: Any, solver: str) -> int:
    """Calls of a generation with the pipeline's default number of steps."""
    found = inspect.signature(pipe.__call__).parameters.get("num_inference_steps")
    steps = found.default if found is not None and isinstance(found.default, int) else STEPS
    return calls_of(solver, steps) or steps


def choose(pipe: Any, name: str | None) -> AcceleratedPipeline:
    """Use one of the strategies of a pipeline from the next generation on, or none of them.

    All of them stay attached, so this takes no time. Choose between two generations: while one
    runs, the choice is refused.

    Args:
        pipe: pipeline to which `apply` has given a mapping of strategies.
        name: name in that mapping; None runs the pipeline unaccelerated.

    Returns:
        The pipeline as a callable with the settings of the chosen strategy.

    Raises:
        StrategyError: there is no such name, the pipeline has no mapping of strategies, or it
            generates right now.
    """
    found = registry.applied_strategy(pipe)
    if not isinstance(found, Choices):
        raise StrategyError(
            "there is nothing to choose from; give several strategies, such as "
            'accel.apply(pipe, {"fast": "deepcache-n5", "good": "deepcache-n2"})'
        )
    found.choose(name)
    return _callable(pipe)


def remove(pipe: Any) -> None:
    """Take the strategy off. Without a strategy this does nothing.

    Raises:
        StrategyError: an unsupported pipeline.
    """
    if registry.applied_strategy(pipe) is None:
        families.find_sites(pipe)
    registry.forget(id(pipe))


@contextmanager
def accelerated(
    pipe: Any, strategy: Source, set_scheduler: bool = True, resample: bool = False
) -> Iterator[Any]:
    """Apply a strategy for the length of a `with` block, and remove it at its end.

    The block's `as` name is the pipeline as one callable. It passes the strategy's number of steps
    and its guidance by itself, and has the strategy's solver.
    """
    apply(pipe, strategy, set_scheduler, resample)
    try:
        yield _callable(pipe)
    finally:
        remove(pipe)


def _callable(pipe: Any) -> AcceleratedPipeline:
    def current() -> Strategy | None:
        sampler = _current(pipe)
        return None if sampler is None or sampler.fits_any else sampler.strategy

    return AcceleratedPipeline(pipe, current)


def stats(pipe: Any) -> list[CallRecord]:
    """Records of each call of the last generation, in order.

    Raises:
        StrategyError: no strategy is applied, or an unsupported pipeline.
    """
    return list(_require(pipe).recorder.calls)


@contextmanager
def measuring(pipe: Any, time: bool = False, macs: bool = False) -> Iterator[None]:
    """Fill `seconds` or `macs` of the records of generations inside the `with` block.

    Counting slows the generation down, so ask for one at a time.

    Raises:
        StrategyError: no strategy is applied, or an unsupported pipeline.
    """
    measure = _require(pipe).measure
    measure.time, measure.macs = time, macs
    try:
        yield
    finally:
        measure.finish()
        measure.time = measure.macs = False


def _require(pipe: Any) -> Sampler:
    sampler = _current(pipe)
    if sampler is None:
        raise StrategyError("no strategy is chosen; call accel.choose with a name first")
    return sampler


def _current(pipe: Any) -> Sampler | None:
    """The sampler that acts on a pipeline; None if it has several strategies and none is chosen.

    Raises:
        StrategyError: no strategy is applied, or an unsupported pipeline.
    """
    found: Sampler | Choices | None = registry.applied_strategy(pipe)
    if found is None:
        families.find_sites(pipe)
        raise StrategyError("no strategy is applied to this pipeline; call accel.apply first")
    return found.chosen if isinstance(found, Choices) else found
