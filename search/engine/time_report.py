"""Time of each phase of a search, by the clock and of the device."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from search import BEGAN
from search.study.measurements import Measurements
from search.study.study import Study

INITIAL = "initial strategies"
PHASES = ("setting up", INITIAL, "evolving", "scoring")
KEYS = {INITIAL: "seeds"}  # Keys in `summary.json` that differ: those of 0.1 stay.


class PhaseClock:
    """Elapsed time of each phase of this start of a run; the first phase is setting up."""

    def __init__(self) -> None:
        self._phase, self._since = PHASES[0], BEGAN
        self._seconds = dict.fromkeys(PHASES, 0.0)

    def enter(self, phase: str) -> None:
        """Enter a phase; a search never goes back to an earlier one."""
        if PHASES.index(phase) > PHASES.index(self._phase):
            self._seconds, self._phase = self.seconds, phase
            self._since = time.monotonic()

    @property
    def seconds(self) -> dict[str, float]:
        """Elapsed seconds by phase, so far."""
        now = self._seconds[self._phase] + time.monotonic() - self._since
        return self._seconds | {self._phase: now}


def device(study: Study, mine: str) -> dict[str, float]:
    """Device time of each phase, of the whole run.

    Args:
        study: log of the run.
        mine: name of the search's proposer.
    """
    measured = Measurements(study).seconds
    bred = sum(row.seconds for row in study.evaluations if row.origin == mine)
    every = sum(row.seconds for row in study.evaluations)
    scoring = study.spent - measured - every
    return dict(zip(PHASES, (measured, every - bred, bred, scoring), strict=True))


def time_table(clock: Mapping[str, float], paid: Mapping[str, float]) -> dict[str, Any]:
    """Both times by phase, as a summary has them.

    Args:
        clock: elapsed seconds of each phase.
        paid: seconds of device time of each phase.
    """
    return {
        KEYS.get(phase, phase.replace(" ", "_")): {"clock_s": clock[phase], "device_s": paid[phase]}
        for phase in PHASES
    }


def time_lines(clock: Mapping[str, float], paid: Mapping[str, float], resumed: bool) -> list[str]:
    """Lines with both times by phase, for people.

    Args:
        clock: elapsed seconds of each phase.
        paid: seconds of device time of each phase.
        resumed: whether the run was begun by an earlier start, whose elapsed time is not known.
    """
    whole = sum(paid.values()) or 1.0
    rows = [(phase, clock[phase], paid[phase]) for phase in PHASES]
    rows.append(("together", sum(clock.values()), sum(paid.values())))
    since = "clock, since resumed" if resumed else "clock"
    return [
        f"{'':>18}{since:>22}{'device time':>16}",
        *(
            f"{name:>18}{taken / 60:>18.1f} min{cost / 60:>12.1f} min{cost / whole:>7.0%}"
            for name, taken, cost in rows
        ),
    ]
