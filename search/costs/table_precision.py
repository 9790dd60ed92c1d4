"""Precision of a latency table: error of the latencies that it predicts, and when to stop.

A table has up to hundreds of kinds of calls. The time of one kind alone is uncertain, but a
strategy makes many calls of several kinds. So measuring stops by the error of whole latencies. They
are compared as shares of the unaccelerated latency. On a busy machine a whole turn is slow or fast,
which further turns hardly average out. It cancels in these shares, and only they decide which
strategy is better.

The error is the standard error by the jackknife over turns: each turn is left out once, and the
spread of the predictions tells their error. It includes composed kinds and the time around the
denoiser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

import numpy as np

from evaluate.speed.latency_measurement import OverheadTiming, make_table
from strategies import Strategy

MIN_TURNS = 3  # Turns of the latency table, the one that warms up among them.
PRECISE = 0.03  # Relative standard error that is good enough for half of the strategies.


def is_precise(
    calls: Sequence[Mapping[str, Sequence[float]]],
    around: Sequence[Sequence[OverheadTiming]],
    plain: Strategy,
    strategies: Sequence[Strategy],
    share: float,
) -> bool:
    """Whether so many turns suffice; the arguments are those of `relative_error`."""
    return relative_error(calls, around, plain, strategies, share) <= PRECISE


def relative_error(
    calls: Sequence[Mapping[str, Sequence[float]]],
    around: Sequence[Sequence[OverheadTiming]],
    plain: Strategy,
    strategies: Sequence[Strategy],
    share: float,
) -> float:
    """Median standard error of the predicted latencies, as shares of the unaccelerated latency.

    It is infinite for fewer turns than `MIN_TURNS`.

    Args:
        calls: results of `time_calls`, one for each turn; the first turn is a warm-up and does not
            count.
        around: results of `time_around`, likewise.
        plain: the unaccelerated pipeline as a strategy.
        strategies: strategies whose latencies are predicted.
        share: share of a schedule's calls that a run makes; see `ModelConfig.share`.
    """
    if len(calls) < MIN_TURNS:
        return inf
    kept = [[i for i in range(len(calls)) if i != left] for left in range(1, len(calls))]
    found = np.array(
        [
            shares([calls[i] for i in row], [around[i] for i in row], plain, strategies, share)
            for row in kept
        ]
    )
    middle, turns = found.mean(0), len(found)
    errors = np.sqrt((turns - 1) / turns * np.square(found - middle).sum(0)) / middle
    return float(np.median(errors))


def shares(
    calls: Sequence[Mapping[str, Sequence[float]]],
    around: Sequence[Sequence[OverheadTiming]],
    plain: Strategy,
    strategies: Sequence[Strategy],
    share: float,
) -> list[float]:
    """Predicted latencies as shares of the unaccelerated latency; the arguments are as above."""
    table = make_table(calls, around, "", share)
    whole = table.predict(plain)
    return [table.predict(one) / whole for one in strategies]
