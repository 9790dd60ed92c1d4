"""Latency: a table of the time of each kind of call, and the end-to-end time to check it by.

Always of one image (batch 1), guidance included, on a device that does nothing else, after
warm-up, as medians. A generation's time is its fixed part (text encoder, autoencoder), its solver's
share of every call, and its calls, each of a kind that the table knows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from pydantic import BaseModel

import accel
from accel import families, schedulers
from accel.models import ModelConfig
from evaluate.prompts import Prompts
from evaluate.sample import run
from evaluate.timing import device_name, seconds, spread
from strategies import Strategy, StrategyError


class LatencyTable(BaseModel):
    """Measured seconds.

    Attributes:
        fixed: of a generation without its loop.
        solver: per call, of everything around the denoiser, by scheduler.
        kinds: of the denoiser, by kind of call (`Strategy.kinds`).
        spread: half the interquartile range of each kind, as a share of its median.
        device: where it was measured.
    """

    fixed: float
    solver: dict[str, float]
    kinds: dict[str, float]
    spread: dict[str, float]
    device: str

    def predict(self, strategy: Strategy) -> float:
        """Seconds of one image.

        Raises:
            StrategyError: a solver or kind of call that was not measured.
        """
        try:
            calls = sum(self.kinds[kind] for kind in strategy.kinds())
            return self.fixed + strategy.calls * self.solver[strategy.scheduler] + calls
        except KeyError as error:
            raise StrategyError(f"the latency table has no entry for {error}") from None


def measure_table(
    pipe: Any,
    config: ModelConfig,
    prompts: Prompts,
    turns: Sequence[Sequence[Strategy]],
    solvers: Iterable[str],
) -> LatencyTable:
    """Measure every kind of call and every solver.

    Args:
        prompts: the first one is drawn.
        turns: strategies to run, for each repetition in an order of its own, so that a slow moment
            of the machine hits all kinds alike; the first turn warms up and does not count.
        solvers: scheduler class names.
    """
    times: dict[str, list[float]] = defaultdict(list)
    for turn, strategies in enumerate(turns):
        for strategy in strategies:
            seconds = _seconds_by_call(pipe, config, prompts, strategy)
            for kind, value in zip(strategy.kinds(), seconds, strict=True):
                if turn:
                    times[kind].append(value)
    fixed, around = _measure_solvers(pipe, config, prompts, list(solvers), len(turns) - 1)
    return LatencyTable(
        fixed=fixed,
        solver=around,
        kinds={kind: median(values) for kind, values in times.items()},
        spread={kind: spread(values) for kind, values in times.items()},
        device=device_name(pipe),
    )


def _seconds_by_call(
    pipe: Any, config: ModelConfig, prompts: Prompts, strategy: Strategy
) -> list[float]:
    """Of the denoiser, passes of one call together."""
    with accel.accelerated(pipe, strategy, set_scheduler=True):
        with accel.measuring(pipe, time=True):
            _once(pipe, config, strategy, prompts)
        seconds = [0.0] * strategy.calls
        for record in accel.stats(pipe):
            seconds[record.call] += record.seconds or 0.0
    return seconds


def _measure_solvers(
    pipe: Any, config: ModelConfig, prompts: Prompts, solvers: list[str], repeats: int
) -> tuple[float, dict[str, float]]:
    """Seconds outside the denoiser: per generation, and per call of each solver."""
    outside: dict[tuple[str, int], list[float]] = defaultdict(list)
    calls: dict[tuple[str, int], int] = {}
    for turn in range(repeats + 1):
        for solver in solvers:
            for steps in (4, 12):
                plain = unaccelerated(pipe, solver, steps)
                with accel.accelerated(pipe, plain, set_scheduler=True):
                    with accel.measuring(pipe, time=True):
                        total = _once(pipe, config, plain, prompts)
                    inside = sum(record.seconds or 0.0 for record in accel.stats(pipe))
                if turn:
                    outside[solver, steps].append(total - inside)
                calls[solver, steps] = plain.calls
    around, fixed = {}, []
    for solver in solvers:
        short, long = (solver, 4), (solver, 12)
        rise = median(outside[long]) - median(outside[short])
        around[solver] = max(0.0, rise / (calls[long] - calls[short]))
        fixed.append(median(outside[short]) - around[solver] * calls[short])
    return max(0.0, median(fixed)), around


def unaccelerated(pipe: Any, solver: str, steps: int) -> Strategy:
    """The strategy that changes nothing, for a solver and number of steps."""
    family, _ = families.find(pipe)
    calls = schedulers.count_calls(pipe.scheduler, solver, steps)
    return Strategy.create(family=family, scheduler=solver, steps=steps, calls=calls)


def measure_end_to_end(
    pipe: Any,
    config: ModelConfig,
    prompts: Prompts,
    strategies: Sequence[Strategy],
    repeats: int = 5,
) -> list[list[float]]:
    """Seconds of one image with each strategy, interleaved: `[strategy][repeat]`."""
    seconds: list[list[float]] = [[] for _ in strategies]
    for turn in range(repeats + 1):
        for index, strategy in enumerate(strategies):
            with accel.accelerated(pipe, strategy, set_scheduler=True):
                total = _once(pipe, config, strategy, prompts)
            if turn:
                seconds[index].append(total)
    return seconds


def _once(pipe: Any, config: ModelConfig, strategy: Strategy, prompts: Prompts) -> float:
    return seconds(str(pipe.device), lambda: run(pipe, config, strategy, prompts.first(1)))
