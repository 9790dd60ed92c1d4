"""End-to-end timing of the finalists: interleaved turns, without those that cannot be timed.

A turn times one image with each strategy. Where a turn fails, every strategy is timed by itself;
those that fail are noted and left out, and the others go on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from pathlib import Path

from evaluate.speed.timing import relative_iqr
from search.costs.cost_model import CostModel
from search.costs.cost_tracker import END_TO_END_REPEATS, STEADY, CostTracker
from search.errors import SearchError
from search.study.finalist_notes import FinalistNotes, Times
from search.study.study import Study
from search.workers.executor import Executor
from search.workers.messages import EndToEndRequest, Response
from strategies import Strategy

MIN_REPEATS = 2  # Timings after the warm-up, where the budget has no room for more,
ENOUGH = 3  # and where they hardly differ.
TRIES = 3  # Turns that may fail although every strategy by itself does not.
Named = tuple[Strategy, str]  # With its origin.


class EndToEnd:
    """End-to-end timing of strategies beside the unaccelerated pipeline.

    Args:
        study: log of the run; what it has is not timed again.
        executor: workers.
        costs: latency of a strategy; knows the unaccelerated one.
        accounts: seconds that are left, and after how many a request is given up.
        folder: folder of the run.
        say: status callback.
    """

    def __init__(
        self,
        study: Study,
        executor: Executor,
        costs: CostModel,
        accounts: CostTracker,
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._notes, self._executor, self._costs = FinalistNotes(study), executor, costs
        self._accounts, self._folder, self._say = accounts, folder, say
        self._plain = costs.unaccelerated.digest

    def measure(self, rows: Sequence[Named]) -> dict[str, Times]:
        """Seconds by digest, of the unaccelerated pipeline and of all strategies that can be timed.

        Each strategy is timed once, by turns with the unaccelerated pipeline; what was timed
        before, in this run or in the one that it goes on with, is read from the study.

        Args:
            rows: strategies with their origins.

        Raises:
            SearchError: the unaccelerated pipeline cannot be timed.
        """
        every: list[Named] = [(self._costs.unaccelerated, ""), *rows]
        left = [row for row in every if self._known(every, row[0].digest) is None]
        if left:
            both = left if left[0][0].digest == self._plain else [every[0], *left]
            timed, turns, seconds = self._turns(both)
            columns = [list(times) for times in zip(*turns[1:], strict=True)]
            found = {one.digest: times for (one, _), times in zip(timed, columns, strict=True)}
            new = {row[0].digest for row in left} & set(found)
            times = {digest: (found[digest], found[self._plain]) for digest in new}
            self._notes.keep_times(_name(left), times, seconds)
        known = {one.digest: self._known(every, one.digest) for one, _ in every}
        return {digest: times for digest, times in known.items() if times is not None}

    def _known(self, every: Sequence[Named], digest: str) -> Times | None:
        """The times of a strategy as the study has them."""
        found = self._notes.times(digest)
        if found is not None:
            return found
        turns = self._notes.former_turns(_name(every))
        if turns is None:
            return None
        digests = [one.digest for one, _ in every]
        columns = dict(zip(digests, zip(*turns[1:], strict=True), strict=True))
        return list(columns[digest]), list(columns[self._plain])

    def _turns(self, left: list[Named]) -> tuple[list[Named], list[list[float]], float]:
        """Strategies that could be timed, their seconds turn by turn, and the device time."""
        turns: list[dict[str, float]] = []
        failed, seconds = 0, 0.0
        while len(turns) <= END_TO_END_REPEATS:
            number = len(turns) + 1
            room = self._accounts.remaining() - seconds
            if number > MIN_REPEATS + 1 and sum(turns[-1].values()) > room:
                break
            if _stand(turns[1:]):
                break
            self._say(
                f"measuring latency end to end, turn {number} of at most {END_TO_END_REPEATS + 1}"
            )
            outcome = self._ask(f"end-to-end-{number}", left)
            seconds += outcome.seconds
            if outcome.value is not None:
                pairs = zip(left, outcome.value, strict=True)
                turns.append({one.digest: taken for (one, _), taken in pairs})
                continue
            failed += 1
            sound = [row for row in left if self._is_timed(row)]
            if len(sound) == len(left) and failed == TRIES:
                raise SearchError(
                    f"timing all finalists end to end failed {TRIES} times, although each can be "
                    f"timed by itself: {outcome.error}; continue with: python -m search --resume "
                    f"{self._folder}"
                )
            left = sound
        rows = [[turn[one.digest] for one, _ in left] for turn in turns]
        return left, rows, seconds

    def _is_timed(self, row: Named) -> bool:
        """Whether a strategy can be timed by itself; one that cannot is noted."""
        strategy, origin = row
        outcome = self._ask(f"end-to-end-{strategy.digest[:12]}", [row])
        if not outcome.error:
            self._notes.keep_timed_alone(strategy.digest, outcome.seconds)
            return True
        if strategy.digest == self._plain:
            self._notes.keep_timed_alone(strategy.digest, outcome.seconds)
            raise SearchError(
                "the unaccelerated pipeline failed while it was timed end to end by itself: "
                f"{outcome.error}; fix that and continue with: python -m search --resume "
                f"{self._folder}"
            )
        self._notes.keep_not_timed(strategy, origin, outcome.error, outcome.seconds)
        return False

    def _ask(self, key: str, rows: Sequence[Named]) -> Response[list[float]]:
        """Seconds of one image with each strategy; a time that is none is an error."""
        strategies = tuple(strategy for strategy, _ in rows)
        limit = self._accounts.time_limit(sum(map(self._costs.latency, strategies)), 1)
        asked = EndToEndRequest(key=key, time_limit=limit, strategies=strategies)
        outcome = self._executor.run_exclusive(asked)
        wrong = [t for t in outcome.value or () if not (math.isfinite(t) and t > 0)]
        if wrong:
            return Response(None, f"took {wrong[0]} s, which is no time", outcome.seconds)
        return outcome


def _name(rows: Sequence[Named]) -> str:
    digests = "\n".join(one.digest for one, _ in rows)
    return hashlib.sha256(digests.encode()).hexdigest()[:16]


def _stand(turns: Sequence[Mapping[str, float]]) -> bool:
    """Whether further turns would hardly change any median."""
    if len(turns) < ENOUGH:
        return False
    columns = [[turn[digest] for turn in turns] for digest in turns[-1]]
    return all(relative_iqr(times) <= STEADY * sqrt(len(times)) for times in columns)
