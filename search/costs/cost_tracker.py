"""What things will cost, from what they have cost lately; it keeps a search inside its budget.

Drawing takes about the number of images times the strategy's latency by the table times a factor,
which is what batches gain, scoring adds and other work on the machine takes away. The factor is
that of the last draws, so that it follows the machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from statistics import fmean, median

from accel.models.loading import default_device
from search.budget import Budget
from search.costs import heldout_rungs as levels
from search.study.archive import Contenders
from search.study.study import Study

RECENT = 12  # Draws that the factor is the median of.
TURNS = 8  # Of the latency table's measurement, at most; the first warms up.
REPEATS = 5  # End-to-end timings of each finalist, at most, after one that warms up.
TIMED = 4  # Turns of that which time is kept for: the one that warms up, and three that agree.
STEADY = (
    0.02  # What is measured stands once half its spread, by the root of how often, is so small.
)
HANGS = 10.0  # So many times what is expected, and a draw is given up;
MINUTE = 60.0  # but never before that many seconds.
# On a CPU what is expected is processor time, of which other programs may take most.
CROWD = 5.0


def patience(expected: float) -> float:
    """Seconds on the clock after which what was expected to take so long counts as hanging."""
    return max(MINUTE, HANGS * expected) * (CROWD if default_device() == "cpu" else 1.0)


class CostTracker:
    """Seconds spent and to be spent.

    Args:
        budget: of the search.
        study: its log.
        ladder: numbers of images of its rungs.
        heldout: images per finalist.
        export: finalists of the search, at most, and as many of the baselines.
        plain: latency of the unaccelerated pipeline.
        timeout: seconds after which a draw is given up; None decides by what is expected.

    Attributes:
        owed: unaccelerated images that the final scoring has yet to draw.
        scoring: seconds that are kept for the final scoring, at most.
    """

    def __init__(
        self,
        budget: Budget,
        study: Study,
        ladder: Sequence[int],
        heldout: int,
        export: int,
        plain: float,
        timeout: float | None = None,
    ) -> None:
        self.budget, self.study = budget, study
        self.heldout, self.export, self.plain = heldout, export, plain
        self._timeout = timeout
        self._below = dict(zip(ladder, (0, *ladder), strict=False))
        self._factors: deque[float] = deque(maxlen=RECENT)
        self._contenders = Contenders()
        self._read = 0
        self.owed, self.scoring = heldout, inf

    def saw(self, latency: float, images: int, seconds: float) -> None:
        """A draw of so many images of a strategy of that latency took so long."""
        self._factors.append(seconds / (images * latency))

    def draw(self, latency: float, images: int) -> float:
        """Seconds that a draw will take."""
        return self._factor() * images * latency

    def _factor(self) -> float:
        for evaluation in self.study.evaluations[self._read :]:
            if evaluation.ok:
                drawn = evaluation.images - self._below[evaluation.images]
                self.saw(evaluation.scores["latency_s"], drawn, evaluation.seconds)
        self._read = len(self.study.evaluations)
        return median(self._factors)

    def limit(self, latency: float, images: int) -> float:
        """Seconds after which drawing so many images at that latency is given up."""
        return self._timeout or patience(self.draw(latency, images))

    def exhausted(self, running: Iterable[float]) -> bool:
        """Whether no further evaluation may start.

        Args:
            running: what each of those under way is expected to take.
        """
        costs = list(running)
        if self.budget.evaluations is not None:
            return len(self.study.evaluations) + len(costs) >= self.budget.evaluations
        return self.left() - sum(costs) <= self.reserve()

    def left(self) -> float:
        """Seconds of the budget that are not spent."""
        return (self.budget.seconds or float("inf")) - self.study.spent

    def reserve(self) -> float:
        """Seconds that are kept for the final scoring of the present front."""
        return min(self.wanted(), self.scoring)

    def wanted(self) -> float:
        """Seconds that the final scoring of the present front would take if nothing bounded it."""
        present = self._contenders.read(self.study.evaluations)
        latencies: list[float] = []
        for rows in (present.mine, present.rivals):
            if rows:
                mean = fmean(row.scores["latency_s"] for row in rows)
                latencies += [mean] * min(self.export, len(rows))
        images = levels.expected(len(latencies), self.heldout)
        drawing = self.draw(fmean(latencies), images) if latencies else 0.0
        return drawing + self.draw(self.plain, self.owed) + self.timing(sum(latencies))

    def timing(self, latencies: float) -> float:
        """Seconds of timing finalists, whose latencies add up to so much, end to end."""
        return TIMED * (latencies + self.plain)
