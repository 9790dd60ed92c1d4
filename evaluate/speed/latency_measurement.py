"""Latency: a table of the time of each kind of call, and end-to-end times to check it.

All times are of one image (batch 1), guidance included, on a device that does nothing else, after
warm-up, as medians. A generation's time has three parts: a fixed part (text encoder, autoencoder),
its solver's share of every call, and its calls, each of a kind in the table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import accel
from accel import families
from accel.models.config import ModelConfig
from accel.pipelines.devices import device_of
from accel.solvers import schedulers
from evaluate.images.generation import run_pipeline
from evaluate.images.prompts import Prompts
from evaluate.speed.call_profile import call_seconds
from evaluate.speed.latency_table import LatencyTable
from evaluate.speed.repeated_passes import repeated_passes
from evaluate.speed.timing import device_name, relative_iqr, time_once
from strategies import Strategy

Ready = Callable[[], object]


def _at_once() -> None:
    """Begin without waiting for another process."""


class OverheadTiming(NamedTuple):
    """One generation: its solver, its calls, and the seconds outside the denoiser."""

    solver: str
    calls: int
    seconds: float


def make_table(
    calls: Sequence[Mapping[str, Sequence[float]]],
    around: Sequence[Sequence[OverheadTiming]],
    device: str,
    share: float = 1.0,
) -> LatencyTable:
    """The table from some turns. The first turn is a warm-up and does not count.

    Args:
        calls: results of `time_calls`, one for each turn.
        around: results of `time_around`, one for each turn.
        device: name of the device.
        share: share of a schedule's calls that a run makes.
    """
    times: dict[str, list[float]] = defaultdict(list)
    for turn in calls[1:]:
        for kind, values in turn.items():
            times[kind] += values
    fixed, solver = _split(around[1:])
    return LatencyTable(
        fixed=fixed,
        solver=solver,
        kinds={kind: median(values) for kind, values in times.items()},
        spread={kind: relative_iqr(values) for kind, values in times.items()},
        device=device,
        share=share,
    )


def measure_table(
    pipe: Any,
    config: ModelConfig,
    prompts: Prompts,
    turns: Sequence[Sequence[Strategy]],
    solvers: Sequence[str],
) -> LatencyTable:
    """Measure every kind of call and every solver.

    Args:
        pipe: pipeline of `config`.
        config: the model and its setting.
        prompts: list whose first prompt is used.
        turns: strategies to run in each turn, each in an order of its own, so that a slow moment of
            the machine affects all kinds alike. The first turn is a warm-up and does not count.
        solvers: solvers in their short form.
    """
    calls = [time_calls(pipe, config, prompts, strategies) for strategies in turns]
    around = [time_around(pipe, config, prompts, solvers) for _ in turns]
    return make_table(calls, around, device_name(pipe))


def time_calls(
    pipe: Any,
    config: ModelConfig,
    prompts: Prompts,
    strategies: Iterable[Strategy],
    ready: Ready = _at_once,
) -> dict[str, list[float]]:
    """Seconds of the denoiser by kind of call, for one image of each strategy.

    Args:
        pipe: pipeline of `config`.
        config: the model and its setting.
        prompts: list whose first prompt is used.
        strategies: strategies to run, one after the other.
        ready: callback before each generation, which waits for processes that take part in it.
    """
    times: dict[str, list[float]] = {}
    for strategy in strategies:
        seconds = _seconds_by_call(pipe, config, prompts, strategy, ready)
        for kind, value in zip(strategy.kinds(), seconds, strict=True):
            times.setdefault(kind, []).append(value)
    return times


def whole_setting(config: ModelConfig) -> ModelConfig:
    """The setting in which all calls of a schedule are made, so that each of them can be timed."""
    return config.model_copy(update={"strength": 1.0})


def _seconds_by_call(
    pipe: Any, config: ModelConfig, prompts: Prompts, strategy: Strategy, ready: Ready
) -> list[float]:
    """Seconds of the denoiser at each call."""
    config = whole_setting(config)
    with accel.accelerated(pipe, strategy, set_scheduler=True):
        ready()
        found = call_seconds(pipe, partial(run_pipeline, pipe, config, strategy, prompts.first(1)))
    return [found.calls[call] for call in range(strategy.calls)]


def time_around(
    pipe: Any, config: ModelConfig, prompts: Prompts, solvers: Iterable[str]
) -> list[OverheadTiming]:
    """Seconds outside the denoiser, for a short and a long generation with each solver.

    On a CPU the denoiser computes only its first pass. On a GPU it computes all of them, since the
    work around a pass is launched while the pass before it runs.
    """
    found, config = [], whole_setting(config)
    on_cpu = device_of(pipe).type == "cpu"
    for solver in solvers:
        for steps in (4, 12):
            plain = unaccelerated_strategy(pipe, solver, steps)
            passes = repeated_passes(pipe) if on_cpu else nullcontext()
            with passes, accel.accelerated(pipe, plain, set_scheduler=True):
                once = partial(run_pipeline, pipe, config, plain, prompts.first(1))
                found.append(OverheadTiming(solver, plain.calls, call_seconds(pipe, once).outside))
    return found


def _split(turns: Sequence[Sequence[OverheadTiming]]) -> tuple[float, dict[str, float]]:
    """Seconds around the denoiser: those of a generation, and those of each call by solver."""
    outside: dict[tuple[str, int], list[float]] = defaultdict(list)
    for turn in turns:
        for one in turn:
            outside[one.solver, one.calls].append(one.seconds)
    around, fixed = {}, []
    for solver in dict.fromkeys(solver for solver, _ in outside):
        short, long = sorted(calls for name, calls in outside if name == solver)
        rise = median(outside[solver, long]) - median(outside[solver, short])
        around[solver] = max(0.0, rise / (long - short))
        fixed.append(median(outside[solver, short]) - around[solver] * short)
    return max(0.0, median(fixed)), around


def unaccelerated_strategy(pipe: Any, solver: str, steps: int) -> Strategy:
    """The strategy that changes nothing, for a solver and number of steps."""
    family, _ = families.find_sites(pipe)
    calls = schedulers.count_calls(pipe.scheduler, solver, steps)
    return Strategy.create(family=family, scheduler=solver, steps=steps, calls=calls)


def measure_end_to_end(
    pipe: Any,
    config: ModelConfig,
    prompts: Prompts,
    strategies: Sequence[Strategy],
    repeats: int = 5,
) -> list[list[float]]:
    """Seconds of one image with each strategy, interleaved, warmed up: `[strategy][repeat]`."""
    turns = [time_end_to_end(pipe, config, prompts, strategies) for _ in range(repeats + 1)]
    return [list(times) for times in zip(*turns[1:], strict=True)]


def time_end_to_end(
    pipe: Any,
    config: ModelConfig,
    prompts: Prompts,
    strategies: Iterable[Strategy],
    ready: Ready = _at_once,
) -> list[float]:
    """Seconds of one image with each strategy, one after the other; see `time_calls`."""
    found = []
    for strategy in strategies:
        with accel.accelerated(pipe, strategy, set_scheduler=True):
            ready()
            found.append(_once(pipe, config, strategy, prompts))
    return found


def _once(pipe: Any, config: ModelConfig, strategy: Strategy, prompts: Prompts) -> float:
    return time_once(
        str(device_of(pipe)), lambda: run_pipeline(pipe, config, strategy, prompts.first(1))
    )
