"""Rungs: few prompts for all candidates, more for the best, none for those clearly dominated.

The prompts of a rung are the first of the next one's, so a promoted candidate generates only the
images that it lacks. On each rung the best third by non-dominated rank is promoted (asynchronous
successive halving, Li et al., 2020, with the rank of MO-ASHA, Schmucker et al., 2021). A candidate
is not promoted if another one of its rung dominates it in nearly all paired resamples of the
prompts.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluate.extraction import ExtractedFeatures
from evaluate.scoring import Scoring
from evaluate.statistics.bootstrap import resample_weights
from search.study.history import History
from search.study.ranking import IncrementalRanking
from strategies import StrategyError

REDUCTION = 3  # One of this many is promoted.
MIN_FIRST_RUNG = 4  # Images of the first rung by default, at least.
RESAMPLES = 40  # Resamples of the prompts, the same ones for every candidate of a rung.
# Share of the resamples in which a candidate must be worse to be given up.
DOMINANCE_CONFIDENCE = 0.975


def ladder(asked: Sequence[int], images: int, early: bool) -> tuple[int, ...]:
    """Rungs of a search, which end with its number of images.

    Args:
        asked: all rungs; if it is empty they are a quarter of the images, if that is
            `MIN_FIRST_RUNG` or more, and all images.
        images: number of images of the search.
        early: whether there is such a quarter; else there are all images alone.

    Raises:
        StrategyError: the rungs are not ascending, below 2, or do not end with `images`.
    """
    first = images // 4
    if not asked:
        return (first, images) if early and first >= MIN_FIRST_RUNG else (images,)
    ascending = all(a < b for a, b in itertools.pairwise(asked))
    if not ascending or asked[0] < 2 or asked[-1] != images:
        raise StrategyError(
            f"rungs are {','.join(map(str, asked))}; give ascending numbers of images from 2 up, "
            f"the last being --images, here {images}"
        )
    return tuple(asked)


def resampled(
    scoring: Scoring, sample: ExtractedFeatures, base: ExtractedFeatures, names: Collection[str]
) -> dict[str, list[float]]:
    """Scores of a candidate on `RESAMPLES` resamples of its prompts, with replacement.

    The prompts of a resample depend on their number alone. So the scores of two candidates of one
    rung can be subtracted resample by resample: a paired bootstrap that needs no images.

    Args:
        scoring: scoring of the search.
        sample: features of the candidate's images.
        base: features of the unaccelerated images.
        names: names of scores; those that no metric gives are left out.
    """
    named = [m for m in scoring.metrics if any(m.key(view) in names for view in m.views)]
    found = Scoring(tuple(named), scoring.references).statistics(sample, base)
    drawn = resample_weights(sample.count, RESAMPLES, seed=sample.count)
    return {
        name: [float(statistic(one)) for one in drawn]
        for name, statistic in found.items()
        if name in names
    }


def promotion_key(digest: str, images: int) -> str:
    """Mark that a proposal on `images` images is remembered by."""
    return f"{digest}@{images}"


class Promotions:
    """Choice of the candidates that are scored on more images, from the highest rung down.

    Anything that it keeps only saves time: a new one promotes the same.

    Args:
        rungs: numbers of images, ascending.
    """

    def __init__(self, rungs: Sequence[int]) -> None:
        pairs = reversed(list(itertools.pairwise(rungs)))
        self._rungs = [(below, _Rung(above)) for below, above in pairs]
        self._dominated: set[str] = set()  # Marks of promotions that `at_once` will never make.

    def at_once(
        self, history: History, taken: Collection[str], digests: Collection[str]
    ) -> tuple[int, int] | None:
        """Row of a chosen strategy to promote, and the number of images; None if there is none.

        All chosen strategies are promoted that no other one of their rung dominates.

        Args:
            history: history of the last call, or one that continues it.
            taken: marks of all promotions that were proposed.
            digests: digests of the chosen strategies.
        """
        for below, rung in self._rungs:
            marks = {promotion_key(digest, rung.above): digest for digest in digests}
            left = {marks[mark] for mark in marks.keys() - taken - self._dominated}
            rows = history.top(below) if left else ()
            for row in (row for row in rows if history.good[row].strategy.digest in left):
                losses = history.objectives[rows]
                mine = history.objectives[row]
                if not ((losses <= mine).all(1) & (losses < mine).any(1)).any():
                    return int(row), rung.above
                digest = history.good[row].strategy.digest
                self._dominated.add(promotion_key(digest, rung.above))
        return None

    def next(self, history: History, taken: Collection[str]) -> tuple[int, int] | None:
        """Row to promote, and the number of images to promote it to; None if there is none.

        Args:
            history: history of the last call, or one that continues it.
            taken: marks of all promotions that were proposed.
        """
        for below, rung in self._rungs:
            rows = history.top(below)
            place = rung.next(history, rows, taken)
            if place is not None:
                return int(rows[place]), rung.above
        return None


class _Rung:
    """Candidates on one number of images, by their positions among these.

    Args:
        above: number of images that the best of them are scored on next.
    """

    def __init__(self, above: int) -> None:
        self.above = above
        self._places: dict[str, list[int]] = {}  # By the mark of the promotion.
        self._open: set[str] = set()  # Marks of those that are not promoted.
        self._promoted = np.empty(0, dtype=bool)
        self._drawn: list[NDArray[np.bool_]] = []  # Whether each objective is resampled.
        # By position and objective; NaN if not resampled.
        self._draws = np.empty((0, 0, RESAMPLES))
        self._leading = IncrementalRanking()
        self._beaten = np.empty(0, dtype=bool)  # For good, since what dominates them stays.

    def next(self, history: History, rows: NDArray[np.intp], taken: Collection[str]) -> int | None:
        """Position of the best candidate that may be promoted: of the best third, not dominated."""
        self._read(history, rows)
        room = len(rows) // REDUCTION
        for name in self._open.intersection(taken):
            self._promoted[self._places[name]] = True
            self._open.discard(name)
        promoted = self._promoted[: len(rows)]
        if np.count_nonzero(promoted) >= room:
            return None
        points, fronts = history.objectives[rows], self._leading.fronts(history, rows, room)
        places, ranks = np.searchsorted(rows, fronts.rows), fronts.ranks
        undecided = ~(promoted | self._beaten[: len(rows)])
        for rank in np.unique(ranks[undecided[places]]):
            front = places[ranks == rank]
            front = front[np.argsort(-_crowding_distance(points[front]), kind="stable")]
            within = front[: room - np.count_nonzero(ranks < rank)]
            for place in within[undecided[within]].tolist():
                if not self.is_dominated_with_confidence(points, place):
                    return int(place)
                self._beaten[place] = True
        return None

    def _read(self, history: History, rows: NDArray[np.intp]) -> None:
        known, count = len(self._drawn), len(rows)
        if count > len(self._draws):
            width = history.objectives.shape[1]
            larger = np.full((2 * count, width, RESAMPLES), np.nan)
            if known:
                larger[:known] = self._draws[:known]
            self._draws = larger
            more = 0, len(larger) - len(self._beaten)
            self._beaten, self._promoted = np.pad(self._beaten, more), np.pad(self._promoted, more)
        for place in range(known, count):
            candidate = history.good[rows[place]]
            name = promotion_key(candidate.strategy.digest, self.above)
            self._places.setdefault(name, []).append(place)
            self._open.add(name)
            drawn = np.zeros(self._draws.shape[1], dtype=bool)
            for index in (i for i, draws in enumerate(candidate.resampled_losses) if draws):
                drawn[index], self._draws[place, index] = True, candidate.resampled_losses[index]
            self._drawn.append(drawn)

    def is_dominated_with_confidence(self, points: NDArray[np.float64], place: int) -> bool:
        """Whether another candidate clearly dominates the one at `place`.

        It is at least as good in every objective that is not resampled (latency,
        multiply-accumulates). In every resampled loss it is lower in a share
        `DOMINANCE_CONFIDENCE` of the paired resamples.

        Args:
            points: objectives of all candidates, `[n, objectives]`.
            place: position of the candidate.
        """
        drawn = self._drawn[place]
        if not drawn.any():
            return False
        stronger = np.flatnonzero((points[:, ~drawn] <= points[place, ~drawn]).all(axis=1))
        stronger = stronger[stronger != place]
        mine, theirs = self._draws[place, drawn], self._draws[stronger][:, drawn]
        return bool(((theirs < mine).mean(axis=2) >= DOMINANCE_CONFIDENCE).all(axis=1).any())


def _crowding_distance(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Crowding distance of NSGA-II in one front; it is infinite at the ends."""
    lonely = np.zeros(len(points))
    for values in points.T:
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        gaps = np.full(len(order), np.inf)
        gaps[1:-1] = (ordered[2:] - ordered[:-2]) / ((ordered[-1] - ordered[0]) or 1.0)
        lonely[order] += gaps
    return lonely
