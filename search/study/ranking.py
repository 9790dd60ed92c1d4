"""Which evaluations can be among the best, without ranking all of them each time."""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import NDArray

from search.study.history import History, Rows


@dataclass(frozen=True)
class Fronts:
    """The best fronts of some rows at one time, up to the one that the rows asked for end in.

    Attributes:
        rows: of all of them, ascending.
        ranks: of each row, from 0 or 1 up.
        last: rank of the last front.
        read: rows of the history by then.
    """

    rows: Rows
    ranks: NDArray[np.int64]
    last: int
    read: int


class Leading:
    """The best fronts of rows that grow in number.

    What is kept only saves time. Ranks never improve by what is added, and whoever dominates a row
    has a better rank: so the fronts that were kept and what has come since hold all of the fronts
    up to the last of these, unless one of their rows is gone or more are asked for.
    """

    def __init__(self) -> None:
        self._history: History | None = None
        self._before: Fronts | None = None

    def fronts(self, history: History, rows: Rows, count: int) -> Fronts:
        """The best fronts that hold `count` rows.

        Args:
            history: any.
            rows: feasible ones of one rung, at least `count`. Where the history is that of the last
                time they are ascending, and may be more or fewer; what was left out stays out.
            count: may be another each time.
        """
        before = self._before if history is self._history else None
        found = None if before is None else _followed(history, rows, count, before)
        self._history, self._before = history, found or _ranked(history, rows, count)
        return self._before


def _followed(history: History, rows: Rows, count: int, before: Fronts) -> Fronts | None:
    """The fronts from those before, where these tell."""
    places = np.searchsorted(rows, before.rows)
    if places[-1] == len(rows) or (rows[places] != before.rows).any():
        return None
    new = rows[np.searchsorted(rows, before.read) :]
    if len(before.rows) + len(new) < count:
        return None
    found = _ranked(history, np.concatenate([before.rows, new]), count)
    return found if found.last <= before.last else None


def _ranked(history: History, rows: Rows, count: int) -> Fronts:
    ranks = moocore.pareto_rank(history.objectives[rows])
    last = int(np.partition(ranks, count - 1)[count - 1])
    near = ranks <= last
    return Fronts(rows[near], ranks[near], last, len(history))
