"""Number of workers that pay: workers that share the cores of one machine slow each other down.

Two processes on two busy cores may generate no more images than one. The budget counts processor
time, so such a second worker costs nothing of it. But it takes memory, and makes latency worse.
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

KEY = "workers"  # Key of its requests.
now = time.monotonic
ROUNDS = 3  # Measurements of one worker and of all.
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
    """Use as many workers as really generate more images, and say so.

    It is measured once for each number of workers.

    Args:
        executor: workers.
        study: log of the run.
        request: request for a batch of images.
        spent: callback with the device time of each of these requests.
        folder: folder of the run.
        say: status callback.
        tell: callback with lines for people.
    """
    if not executor.crowded or executor.slots < 2:
        return
    measured = Measurements(study)
    found = measured.worker_gain
    if found is None or found.there != executor.slots:
        say("measuring how many workers are faster than one")
        found, seconds = _measured(executor, request, spent, folder)
        measured.keep_worker_gain(found, seconds)
    executor.most = min(found.there, max(1, ceil(found.gain - ENOUGH)))
    tell(
        f"{found.there} workers generate {found.gain:.1f} times as many images as one; "
        f"{executor.most} {'is' if executor.most == 1 else 'are'} used"
    )


def _measured(
    executor: Executor, one: SampleRequest, spent: Callable[[float], None], folder: Path
) -> tuple[WorkerGain, float]:
    """Gain of all workers at once over one, and the device time of measuring it."""
    seconds = 0.0

    def together(number: int) -> float:
        """Elapsed seconds of `number` workers, each with one batch."""
        nonlocal seconds
        began = now()
        asked = [replace(one, key=f"{KEY}-{index}") for index in range(number)]
        for _, outcome in executor.run_all(asked):
            require_success(outcome, folder, "generating with all workers")
            spent(outcome.seconds)
            seconds += outcome.seconds
        return now() - began

    there = executor.slots
    together(there)  # Warms all of them up.
    # Other programs only make it longer, so the shortest times count.
    rounds = [(together(1), together(there)) for _ in range(ROUNDS)]
    alone, every = (min(column) for column in zip(*rounds, strict=True))
    return WorkerGain(there, there * alone / every), seconds
