"""Best fronts of a growing number of evaluations, without ranking all of them each time."""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import NDArray

from search.study.history import History, Rows


@dataclass(frozen=True)
class RankedFronts:
    """Best fronts of some rows at one time, down to the front that completes the number asked for.

    Attributes:
        rows: rows of all these fronts, ascending.
        ranks: rank of each row, from 0 or 1 up.
        last: rank of the last front.
        read: number of rows that the history had then.
    """

    rows: Rows
    ranks: NDArray[np.int64]
    last: int
    read: int


class IncrementalRanking:
    """Best fronts of rows that grow in number.

    What it keeps only saves time. New rows never improve the rank of an old one, and a row that
    dominates another has a better rank. So the kept fronts and the new rows together contain all
    fronts down to the last kept one. That fails if a kept row is missing now, or if more rows are
    asked for; then all rows are ranked.
    """

    def __init__(self) -> None:
        self._history: History | None = None
        self._before: RankedFronts | None = None

    def fronts(self, history: History, rows: Rows, count: int) -> RankedFronts:
        """Best fronts that hold `count` rows.

        Args:
            history: history of the rows.
            rows: feasible rows of one rung, at least `count`. If the history is that of the last
                call, they are ascending. Some may be new or missing; a row that is missing stays
                so.
            count: number of rows asked for; it may change from call to call.
        """
        before = self._before if history is self._history else None
        found = None if before is None else _followed(history, rows, count, before)
        self._history, self._before = history, found or _ranked(history, rows, count)
        return self._before


def _followed(
    history: History, rows: Rows, count: int, before: RankedFronts
) -> RankedFronts | None:
    """Fronts that follow from the kept ones, or None if these do not suffice."""
    places = np.searchsorted(rows, before.rows)
    if places[-1] == len(rows) or (rows[places] != before.rows).any():
        return None
    new = rows[np.searchsorted(rows, before.read) :]
    if len(before.rows) + len(new) < count:
        return None
    found = _ranked(history, np.concatenate([before.rows, new]), count)
    return found if found.last <= before.last else None


def _ranked(history: History, rows: Rows, count: int) -> RankedFronts:
    ranks = moocore.pareto_rank(history.objectives[rows])
    last = int(np.partition(ranks, count - 1)[count - 1])
    near = ranks <= last
    return RankedFronts(rows[near], ranks[near], last, len(history))
