"""Speed of strategies, all measured by one protocol: latency, throughput, kinds of calls, work.

Latency is of one image, throughput of a large batch. Strategies take turns, so that a slow moment
of the machine affects all alike. The first turn is a warm-up and does not count. Scores are
medians. A generation's calls are of a few kinds: the first, those that refresh a cache, each amount
of reuse and number of tokens. The sum over the kinds is compared with the end-to-end time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import accel
from accel.models.config import ModelConfig
from accel.pipelines.devices import device_of
from evaluate.images.generation import run_pipeline
from evaluate.images.prompts import Prompts
from evaluate.speed.call_profile import CallSeconds, call_macs, call_seconds
from evaluate.speed.peak_memory import peak_memory
from evaluate.speed.timing import relative_iqr, time_once
from strategies import Strategy, StrategyError

FIRST = "first"
Say = Callable[[str], None]


@dataclass(frozen=True)
class CallKindTiming:
    """Calls of one kind within a generation of one image.

    Attributes:
        name: acts of the methods, as in `Strategy.kinds`; `first` is the first call.
        calls: number of these calls.
        seconds: median seconds of one.
        spread: half the interquartile range, as a share of the median.
        macs: multiply-accumulates of one.
    """

    name: str
    calls: int
    seconds: float
    spread: float
    macs: int


@dataclass(frozen=True)
class SpeedMeasurement:
    """Speed of one strategy.

    Attributes:
        latency: seconds of one image in each turn.
        throughput: images per second of a large batch in each turn; empty unless asked for.
        kinds: kinds of the calls of one image.
        outside: median seconds of one image outside the denoiser.
        macs: multiply-accumulates of the denoiser for one image.
        memory: peak bytes of one image.
    """

    latency: list[float]
    throughput: list[float]
    kinds: list[CallKindTiming]
    outside: float
    macs: int
    memory: int

    @property
    def sum(self) -> float:
        """Seconds of one image, summed over the kinds of its calls."""
        return self.outside + sum(kind.calls * kind.seconds for kind in self.kinds)

    @property
    def check(self) -> float:
        """Relative difference of the sum to the end-to-end median."""
        return self.sum / median(self.latency) - 1


def measure_speed(
    pipe: Any,
    config: ModelConfig,
    prompts: Prompts,
    strategies: Sequence[Strategy],
    repeats: int,
    batch: int | None,
    say: Say,
) -> list[SpeedMeasurement]:
    """Speed of strategies on a pipeline that nothing else uses.

    Args:
        pipe: pipeline of `config`.
        config: the model and its setting.
        prompts: list whose first prompt is used for latency, and whose first `batch` for
            throughput.
        strategies: strategies to measure.
        repeats: number of turns that count.
        batch: batch size for throughput; None leaves it out.
        say: callback for the current activity.

    Raises:
        StrategyError: a strategy does not fit, or there are fewer prompts than the batch.
    """
    device = str(device_of(pipe))
    one = prompts.first(1)
    many = None if batch is None else prompts.first(batch)
    latency: list[list[float]] = [[] for _ in strategies]
    throughput: list[list[float]] = [[] for _ in strategies]
    inside: list[list[CallSeconds]] = [[] for _ in strategies]
    for turn in range(repeats + 1):
        say(f"measuring speed, turn {turn} of {repeats}" if turn else "measuring speed, warm-up")
        for index, strategy in enumerate(strategies):
            with accel.accelerated(pipe, strategy, set_scheduler=True):
                whole = time_once(device, partial(run_pipeline, pipe, config, strategy, one))
                calls = call_seconds(pipe, partial(run_pipeline, pipe, config, strategy, one))
                if many is not None:
                    whole_batch = time_once(
                        device, partial(run_pipeline, pipe, config, strategy, many)
                    )
            if turn:
                latency[index].append(whole)
                inside[index].append(calls)
                if batch is not None:
                    throughput[index].append(batch / whole_batch)
    say("counting work and memory")
    return [
        _speed(pipe, config, strategy, one, latency[i], throughput[i], inside[i])
        for i, strategy in enumerate(strategies)
    ]


def _speed(
    pipe: Any,
    config: ModelConfig,
    strategy: Strategy,
    prompts: Prompts,
    latency: list[float],
    throughput: list[float],
    inside: list[CallSeconds],
) -> SpeedMeasurement:
    with accel.accelerated(pipe, strategy, set_scheduler=True):
        once = partial(run_pipeline, pipe, config, strategy, prompts)
        work = call_macs(pipe, once)
        memory = peak_memory(pipe, once)
    names = strategy.kinds()
    first = len(names) - len(work)  # Image-to-image makes the last calls alone.
    if not work or sorted(work) != list(range(first, len(names))):
        raise StrategyError(
            f"the denoiser made {len(work)} of {len(names)} planned calls, so its "
            "time cannot be summed"
        )
    groups: dict[str, list[int]] = defaultdict(list)
    for call in sorted(work):
        groups[FIRST if call == first else names[call] or "full"].append(call)
    kinds = []
    for name, members in groups.items():
        times = [turn.calls[call] for turn in inside for call in members]
        macs = sum(work[call] for call in members) // len(members)
        kinds.append(CallKindTiming(name, len(members), median(times), relative_iqr(times), macs))
    outside = median([turn.outside for turn in inside])
    return SpeedMeasurement(latency, throughput, kinds, outside, sum(work.values()), memory)
