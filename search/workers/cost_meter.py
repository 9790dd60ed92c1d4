"""Device time of a request: processor time on a CPU, elapsed time on any other device.

A processor is shared. If elapsed time counted, other programs would use up the search's budget, and
a search on a busy machine would end before it has begun to evolve.
"""

from __future__ import annotations

import time


class Meter:
    """Device time since it was created.

    Args:
        on_cpu: whether the device is a CPU. Then the processor time of this process counts, over
            all its threads, and never more than the elapsed time.
    """

    def __init__(self, on_cpu: bool) -> None:
        self._on_cpu = on_cpu
        self._clock, self._used = time.monotonic(), time.process_time()

    def seconds(self) -> float:
        """Seconds so far."""
        taken = time.monotonic() - self._clock
        return min(taken, time.process_time() - self._used) if self._on_cpu else taken
