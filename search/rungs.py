"""Rungs: few prompts for all, more for the best, and nothing more for what is beaten beyond doubt.

The prompts of a rung are the first of the next one's, so a candidate that is promoted only draws
what it lacks. On each rung the best third by non-dominated rank is promoted (asynchronous
successive halving, Li et al., 2020, with the rank of MO-ASHA, Schmucker et al., 2021), unless
another candidate of the rung dominates it in nearly all paired resamples of the prompts.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from evaluate.reading import Sample
from evaluate.scores import Scoring
from search.history import History
from strategies import StrategyError

REDUCTION = 3  # One in so many is promoted.
FEWEST = 4  # Images of a first rung that nobody asked for.
DRAWS = 40  # Resamples of the prompts, the same ones for every candidate of a rung.
DOUBT = 0.975  # Share of the resamples in which a candidate must be worse to be given up.


def ladder(asked: Sequence[int], images: int, early: bool) -> tuple[int, ...]:
    """The rungs of a search, ending with its images.

    Args:
        asked: all of them; empty are a quarter of the images, where that is `FEWEST` or more, and
            all.
        early: whether there is such a quarter; else all images alone.

    Raises:
        StrategyError: not ascending, below 2, or not ending with `images`.
    """
    first = images // 4
    if not asked:
        return (first, images) if early and first >= FEWEST else (images,)
    ascending = all(a < b for a, b in itertools.pairwise(asked))
    if not ascending or asked[0] < 2 or asked[-1] != images:
        raise StrategyError(
            f"rungs are {','.join(map(str, asked))}; give ascending numbers of images from 2 up, "
            f"the last being --images, here {images}"
        )
    return tuple(asked)


def resampled(
    scoring: Scoring, sample: Sample, base: Sample, names: Collection[str]
) -> dict[str, list[float]]:
    """Figures of a candidate on `DRAWS` resamples of its prompts, drawn with replacement.

    Which prompts a resample has depends on their number alone, so that figures of two candidates
    of one rung can be subtracted draw by draw: a paired bootstrap that needs no images.

    Args:
        scoring: what they are held against.
        names: of the figures; those that no metric has are left out.
    """
    named = [m for m in scoring.metrics if any(m.key(view) in names for view in m.views)]
    found = Scoring(tuple(named), scoring.references).statistics(sample, base)
    drawn = weights(sample.count)
    return {
        name: [float(statistic(one)) for one in drawn]
        for name, statistic in found.items()
        if name in names
    }


def weights(count: int) -> list[NDArray[np.float64]]:
    """How often each of `count` prompts is in each resample; a distance needs two that differ."""
    rng, found = np.random.default_rng(count), list[NDArray[np.float64]]()
    while len(found) < DRAWS:
        one = np.bincount(rng.integers(0, count, count), minlength=count).astype(float)
        if np.count_nonzero(one) > 1:
            found.append(one)
    return found


def mark(digest: str, images: int) -> str:
    """How a proposal of a strategy on so many images is remembered."""
    return f"{digest}@{images}"


def promotion(
    history: History, rungs: Sequence[int], taken: Collection[str]
) -> tuple[int, int] | None:
    """The row to promote next and the number of images to promote it to, the highest rung first.

    Args:
        taken: `mark` of every promotion that was proposed.
    """
    for below, above in reversed(list(itertools.pairwise(rungs))):
        rows = history.top(below)
        room = len(rows) // REDUCTION
        digests = [history.good[row].strategy.digest for row in rows]
        gone = sum(mark(digest, above) in taken for digest in digests)
        if gone >= room:
            continue
        points = history.objectives[rows]
        ranks = moocore.pareto_rank(points)
        for place in np.lexsort((rows, -_loneliness(points, ranks), ranks))[:room]:
            new = mark(digests[place], above) not in taken
            if new and not beaten(history, rows, int(place)):
                return int(rows[place]), above
    return None


def _loneliness(points: NDArray[np.float64], ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """NSGA-II's crowding distance within each rank; ends of a front are infinitely lonely."""
    lonely = np.zeros(len(points))
    for rank in np.unique(ranks):
        rows = np.flatnonzero(ranks == rank)
        for values in points[rows].T:
            order = rows[np.argsort(values, kind="stable")]
            span = float(values.max() - values.min()) or 1.0
            lonely[order[[0, -1]]] = np.inf
            ordered = np.sort(values)
            lonely[order[1:-1]] += (ordered[2:] - ordered[:-2]) / span
    return lonely


def beaten(history: History, rows: NDArray[np.intp], place: int) -> bool:
    """Whether another of these rows of one rung dominates the one at `place` beyond doubt.

    In what is not resampled (latency, multiply-accumulates) it must be at least as good; in every
    resampled loss, lower in a share `DOUBT` of the paired resamples.
    """
    mine = history.good[rows[place]]
    if not mine.draws:
        return False
    points = history.objectives[rows]
    exact = [index for index, draws in enumerate(mine.draws) if not draws]
    rivals = np.flatnonzero((points[:, exact] <= points[place, exact]).all(axis=1))
    for rival in rivals:
        theirs = history.good[rows[rival]].draws
        pairs = [(a, b) for a, b in zip(theirs, mine.draws, strict=False) if b]
        if rival != place and pairs:
            lower = [np.mean(np.subtract(a, b) < 0) for a, b in pairs]
            if min(lower) >= DOUBT:
                return True
    return False
