"""Public functions of the accelerated sampler: apply a strategy to a diffusers pipeline, remove it.

`apply` wraps modules of the pipeline's network; `remove` takes every wrapper off again. The
pipeline's own `__call__` runs unchanged. Image-to-image, ControlNet, callbacks and everything else
therefore work as they do without a strategy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from diffusers import DiffusionPipeline

import strategies
from accel import families, registry
from accel.call_records import CallRecord
from accel.sampler import Sampler
from strategies import Strategy, StrategyError


def apply(pipe: Any, strategy: Strategy | str | Path, set_scheduler: bool = False) -> None:
    """Accelerate a pipeline. Use it as before, with `num_inference_steps=strategy.steps`.

    A strategy that was applied before is replaced. Other pipelines that share the network keep
    their strategies. The pipeline that makes a call is found on the call stack.

    Changes to the pipeline after `apply` (adapters, offloading, compilation, another network or
    solver) are noticed when the next generation starts. The strategy is then attached again, or the
    generation raises a StrategyError that says why it does not fit.

    Args:
        pipe: diffusers pipeline of a supported family.
        strategy: a `Strategy`, a file's path or the name of a preset.
        set_scheduler: whether to replace the pipeline's scheduler by the strategy's if they differ;
            `remove` puts the old one back.

    Raises:
        StrategyError: the pipeline is not supported, its family or scheduler is another, or the
            model cannot take some knob. The pipeline is then left without a strategy.
    """
    if not isinstance(strategy, Strategy):
        strategy = strategies.load(strategy)
    remove(pipe)
    sampler = Sampler(pipe, strategy, set_scheduler)
    if registry.sharing(sampler.network) and not isinstance(pipe, DiffusionPipeline):
        sampler.detach()
        raise StrategyError(
            f"{type(pipe).__name__} is no DiffusionPipeline and shares its denoiser with a "
            "pipeline that has a strategy, so that calls of the two cannot be told apart; remove "
            "that strategy first, or use a DiffusionPipeline"
        )
    registry.add(pipe, sampler)


def remove(pipe: Any) -> None:
    """Take the strategy off. Without a strategy this does nothing.

    Raises:
        StrategyError: an unsupported pipeline.
    """
    if registry.find(pipe) is None:
        families.find(pipe)
    registry.forget(id(pipe))


@contextmanager
def accelerated(
    pipe: Any, strategy: Strategy | str | Path, set_scheduler: bool = False
) -> Iterator[Any]:
    """Apply a strategy for the length of a `with` block, and remove it at its end."""
    apply(pipe, strategy, set_scheduler)
    try:
        yield pipe
    finally:
        remove(pipe)


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
    sampler: Sampler | None = registry.find(pipe)
    if sampler is None:
        families.find(pipe)
        raise StrategyError("no strategy is applied to this pipeline; call accel.apply first")
    return sampler
