"""Predicted device time, from what images have cost lately; it keeps a search inside its budget.

Generating images takes about their number, times the strategy's latency by the table, times a
factor. Batches lower this factor; scoring and other work on the machine raise it. It is the median
over the last evaluations, so it follows the machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from statistics import fmean, median

from accel.models.loading import default_device
from search.budget import Budget
from search.costs import heldout_rungs as levels
from search.study.archive import FrontsOfKinds
from search.study.study import Study

RECENT = 12  # Evaluations that the factor is the median of.
LATENCY_TABLE_PASSES = 8  # Turns of the latency table's measurement, at most; the first warms up.
END_TO_END_REPEATS = 5  # End-to-end timings of each finalist, at most, after one that warms up.
TIMED = 4  # Timings for which time is kept: one that warms up, and three that agree.
# A measurement is stable once half its relative spread, by the root of its number, is below this.
STEADY = 0.02
TIMEOUT_FACTOR = 10.0  # A request is cancelled after this many times its expected seconds,
MIN_TIMEOUT_SECONDS = 60.0  # but never before this many seconds.
# On a CPU the expected time is processor time, most of which other programs may take.
CROWD = 5.0


def patience(expected: float) -> float:
    """Seconds on the clock after which a request counts as hanging.

    Args:
        expected: seconds that it is expected to take.
    """
    return max(MIN_TIMEOUT_SECONDS, TIMEOUT_FACTOR * expected) * (
        CROWD if default_device() == "cpu" else 1.0
    )


class CostTracker:
    """Device time that is spent, and that is still to be spent.

    Args:
        budget: budget of the search.
        study: log of the run.
        ladder: numbers of images of the rungs.
        heldout: number of held-out images of each finalist.
        export: number of finalists of the search, at most; as many baselines are allowed.
        unaccelerated_latency: latency of the unaccelerated pipeline, in seconds.
        timeout: seconds after which a request is cancelled; None decides by what is expected.
        processes: number of processes of each worker, whose seconds all count.

    Attributes:
        missing_unaccelerated_images: number of unaccelerated images that the final scoring has yet
            to generate.
        final_scoring_limit: seconds that are kept for the final scoring, at most.
    """

    def __init__(
        self,
        budget: Budget,
        study: Study,
        ladder: Sequence[int],
        heldout: int,
        export: int,
        unaccelerated_latency: float,
        timeout: float | None = None,
        processes: int = 1,
    ) -> None:
        self._processes = processes
        self.budget, self.study = budget, study
        self.heldout, self.export, self.unaccelerated_latency = (
            heldout,
            export,
            unaccelerated_latency,
        )
        self._timeout = timeout
        self._below = dict(zip(ladder, (0, *ladder), strict=False))
        self._factors: deque[float] = deque(maxlen=RECENT)
        self._contenders = FrontsOfKinds()
        self._read = 0
        self.missing_unaccelerated_images, self.final_scoring_limit = heldout, inf

    def record(self, latency: float, images: int, seconds: float) -> None:
        """Take in that generating `images` images at this latency took so many seconds."""
        self._factors.append(seconds / (images * latency))

    def predict_generation(self, latency: float, images: int) -> float:
        """Seconds that generating `images` images at this latency will take."""
        return self._factor() * images * latency

    def _factor(self) -> float:
        for evaluation in self.study.evaluations[self._read :]:
            if evaluation.succeeded:
                drawn = evaluation.images - self._below[evaluation.images]
                self.record(evaluation.scores["latency_s"], drawn, evaluation.seconds)
        self._read = len(self.study.evaluations)
        return median(self._factors)

    def time_limit(self, latency: float, images: int) -> float:
        """Seconds after which generating `images` images at this latency is cancelled."""
        return self._timeout or patience(self.predict_generation(latency, images))

    def is_exhausted(self, running: Iterable[float]) -> bool:
        """Whether no further evaluation may start.

        Args:
            running: expected seconds of each evaluation that is under way.
        """
        costs = list(running)
        if self.budget.evaluations is not None:
            return len(self.study.evaluations) + len(costs) >= self.budget.evaluations
        return self.remaining() - sum(costs) <= self.reserve()

    def remaining(self) -> float:
        """Seconds of the budget that are not spent."""
        return (self.budget.seconds or float("inf")) - self.study.spent

    def reserve(self) -> float:
        """Seconds that are kept for the final scoring of the present front."""
        return min(self.wanted(), self.final_scoring_limit)

    def wanted(self) -> float:
        """Seconds that the final scoring of the present front would take if nothing bounded it."""
        present = self._contenders.read(self.study.evaluations)
        latencies: list[float] = []
        for rows in (present.mine, present.baselines):
            if rows:
                mean = fmean(row.scores["latency_s"] for row in rows)
                latencies += [mean] * min(self.export, len(rows))
        images = levels.expected(len(latencies), self.heldout)
        drawing = self.predict_generation(fmean(latencies), images) if latencies else 0.0
        return (
            drawing
            + self.predict_generation(self.unaccelerated_latency, self.missing_unaccelerated_images)
            + self.predict_timing(sum(latencies))
        )

    def predict_timing(self, latencies: float) -> float:
        """Seconds of timing finalists end to end.

        Args:
            latencies: sum of their latencies.
        """
        return self._processes * TIMED * (latencies + self.unaccelerated_latency)
