"""Whole generations: measured costs of strategies that no latency table can predict.

The calls of some methods take different times for different images (`Knobs.adaptive`), so that
they are of no kind. Each strategy with such a method is timed end to end, by turns with the
unaccelerated pipeline, when it is first evaluated. Both images are of the first prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from evaluate.speed.latency_table import kinds_made
from evaluate.speed.timing import relative_iqr
from search.costs.cost_tracker import patience
from search.study.measurements import Measurements, WholeGeneration
from search.study.study import Study
from search.workers.executor import Executor
from search.workers.messages import CountMacsRequest, EndToEndRequest
from strategies import Strategy

TURNS = 3  # Turns of a strategy, at least, the first of which warms up,
MOST = 6  # and at most, where they differ.
STEADY = 0.05  # Half the relative spread of the turns' ratios that is good enough.


class WholeGenerations:
    """Measurement of strategies whose calls take different times for different images.

    Args:
        study: log of the run; what it has is not measured again.
        executor: workers.
        unaccelerated: the unaccelerated pipeline as a strategy.
        share: share of a schedule's calls that a run makes; see `ModelConfig.share`.
        counted: whether multiply-accumulates are counted, too.
        timeout: seconds after which a request is given up; None decides by what is expected.
        processes: number of processes of each worker, whose seconds all count.
        say: status callback.
    """

    def __init__(
        self,
        study: Study,
        executor: Executor,
        unaccelerated: Strategy,
        share: float,
        counted: bool,
        timeout: float | None,
        processes: int,
        say: Callable[[str], None],
    ) -> None:
        self._measured, self._executor = Measurements(study), executor
        self._unaccelerated = unaccelerated
        self._share, self._counted, self._timeout = share, counted, timeout
        self._processes, self._say = processes, say

    def measure(self, strategy: Strategy, expected: float) -> str:
        """Measure a strategy that needs it and is not measured yet.

        Args:
            strategy: any strategy.
            expected: seconds that one image of it and an unaccelerated one may take.

        Returns:
            Reason why it cannot be measured; empty if it is measured, or follows from the tables.
        """
        if not strategy.is_adaptive:
            return ""
        known = self._measured.whole_generation(strategy.digest)
        if known is None:
            known, seconds = self._measure(strategy, self._timeout or patience(expected))
            self._measured.keep_whole_generation(strategy.digest, known, seconds)
        return f"it could not be timed: {known.error}" if known.error else ""

    def _measure(self, strategy: Strategy, limit: float) -> tuple[WholeGeneration, float]:
        """Costs of a strategy, and the device time that measuring them took."""
        turns, seconds = list[list[float]](), 0.0
        while len(turns) < MOST and not _agree(turns):
            self._say(f"timing whole generations of a strategy, turn {len(turns) + 1}")
            asked = EndToEndRequest(
                key=f"whole-{strategy.digest[:12]}-{len(turns)}", time_limit=limit,
                strategies=(self._unaccelerated, strategy),
            )  # fmt: skip
            outcome = self._executor.run_exclusive(asked)
            seconds += outcome.seconds
            if outcome.value is None or min(outcome.value) <= 0:
                return WholeGeneration(error=outcome.error or "a time of 0 s"), seconds
            turns.append(outcome.value)
        plain, mine = (median(column) for column in zip(*turns[1:], strict=True))
        macs = None
        if self._counted:
            counted = self._executor.run_exclusive(
                CountMacsRequest(
                    key=f"whole-macs-{strategy.digest[:12]}",
                    time_limit=limit,
                    strategies=(strategy,),
                )
            )
            seconds += counted.seconds
            if counted.value is None:
                return WholeGeneration(error=counted.error), seconds
            macs = sum(counted.value[kind] for kind in kinds_made(strategy, self._share))
        return WholeGeneration(mine / plain, macs), seconds

    def predict(self, strategy: Strategy, latency: float, plain: float) -> float:
        """Seconds of device time that measuring a strategy will take.

        Args:
            strategy: any strategy.
            latency: its latency, as far as it is known.
            plain: latency of the unaccelerated pipeline.
        """
        known = self._measured.whole_generation(strategy.digest)
        if not strategy.is_adaptive or known is not None:
            return 0.0
        return self._processes * (TURNS + self._counted) * (latency + plain)


def _agree(turns: list[list[float]]) -> bool:
    """Whether further turns would hardly change the ratio of both times."""
    if len(turns) < TURNS:
        return False
    ratios = [mine / plain for plain, mine in turns[1:]]
    return (max(ratios) - min(ratios)) / 2 <= STEADY * median(ratios) or (
        len(ratios) > TURNS and relative_iqr(ratios) <= STEADY
    )
