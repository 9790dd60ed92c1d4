"""What a request has cost: on a CPU its processor time, on any other device the time it took.

A processor is shared. By the clock, a busy neighbour would be paid for out of the search's budget,
and a search on a busy machine would end before it has begun to evolve.
"""

from __future__ import annotations

import time


class Meter:
    """Device time since it was made.

    Args:
        on_cpu: whether the device is a CPU. Then the processor time of this process counts, all its
            threads together, and never more than the clock.
    """

    def __init__(self, on_cpu: bool) -> None:
        self._on_cpu = on_cpu
        self._clock, self._used = time.monotonic(), time.process_time()

    def seconds(self) -> float:
        """Seconds so far."""
        taken = time.monotonic() - self._clock
        return min(taken, time.process_time() - self._used) if self._on_cpu else taken
