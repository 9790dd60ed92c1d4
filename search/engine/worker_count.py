"""How many workers really draw more: those that share the cores of one machine slow each other.

Two processes on two busy cores may draw no more than one. What is paid for is processor time, so
such a second worker costs the budget nothing, but it takes memory, and latency beside it is worse.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from math import ceil
from pathlib import Path

from search.study.measurements import Measurements, WorkerGain
from search.study.required import require_success
from search.study.study import Study
from search.workers.executor import Executor
from search.workers.messages import SampleRequest

KEY = "workers"  # Of its requests.
now = time.monotonic
ROUNDS = 3  # Of drawing alone and together.
ENOUGH = 0.15  # Part of a worker's images below which one more is not worth it.


def settle(
    executor: Executor,
    study: Study,
    request: SampleRequest,
    spent: Callable[[float], None],
    folder: Path,
    say: Callable[[str], None],
    tell: Callable[[str], None],
) -> None:
    """Use as many of the workers as really draw more, and say so; measured once for each number.

    Args:
        executor: workers.
        study: log of the run.
        request: request for a batch of images.
        spent: told of the seconds that each of these took.
        folder: folder of the run.
        say: status callback.
        tell: callback with lines for people.
    """
    if not executor.crowded or executor.slots < 2:
        return
    measured = Measurements(study)
    found = measured.worker_gain
    if found is None or found.there != executor.slots:
        say("seeing how many workers draw more than one")
        found, seconds = _measured(executor, request, spent, folder)
        measured.keep_worker_gain(found, seconds)
    executor.most = min(found.there, max(1, ceil(found.gain - ENOUGH)))
    tell(
        f"{found.there} workers draw {found.gain:.1f} times what one draws; "
        f"{executor.most} {'is' if executor.most == 1 else 'are'} used"
    )


def _measured(
    executor: Executor, one: SampleRequest, spent: Callable[[float], None], folder: Path
) -> tuple[WorkerGain, float]:
    """What all workers draw at once beside what one draws, and the device time of finding out."""
    seconds = 0.0

    def together(number: int) -> float:
        """Seconds on the clock of so many workers, each with one batch."""
        nonlocal seconds
        began = now()
        asked = [replace(one, key=f"{KEY}-{index}") for index in range(number)]
        for _, outcome in executor.each(asked):
            require_success(outcome, folder, "drawing with all workers")
            spent(outcome.seconds)
            seconds += outcome.seconds
        return now() - began

    there = executor.slots
    together(there)  # Warms all of them up.
    # Other programs only ever make it longer, so the shortest times say what can be drawn.
    rounds = [(together(1), together(there)) for _ in range(ROUNDS)]
    alone, every = (min(column) for column in zip(*rounds, strict=True))
    return WorkerGain(there, there * alone / every), seconds
