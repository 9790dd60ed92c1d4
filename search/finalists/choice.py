"""Choice of the strategies that are scored again on held-out prompts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence

import numpy as np

from search.costs import unmeasurable
from search.costs.cost_model import CostModel
from search.objectives.objectives import Objectives
from search.pareto import select_subset
from search.study import reference_point, score_checks
from search.study.evaluation import Evaluation, comparable, is_baseline_evaluation
from search.study.study import Study
from strategies import Strategy

FAITHFUL = 3  # One in so many finalists is chosen from the slow and faithful end of the front.
# Baselines that the search passed over, with the objectives that its surrogate expects of them.
PassedOver = Callable[[Sequence[Evaluation]], list[tuple[str, Strategy, tuple[float, ...]]]]


class FinalistChoice:
    """The choice of finalists from what a search has evaluated.

    Args:
        study: log of the run.
        export: finalists of the search, at most, and as many of the baselines.
        top: number of images of the highest rung.
        objectives: objectives and constraints of the search.
        costs: latency and other costs of a strategy.
        passed_over: baselines that the search did not score on the highest rung.
    """

    def __init__(
        self,
        study: Study,
        export: int,
        top: int,
        objectives: Objectives,
        costs: CostModel,
        passed_over: PassedOver,
    ) -> None:
        self._study, self._export, self._top = study, export, top
        self._objectives, self._costs, self._unscored = objectives, costs, passed_over

    def best(self, failed: Collection[str] = ()) -> tuple[list[Evaluation], list[Evaluation]]:
        """Strategies for the exported front, and baselines to hold against them.

        Both are the points that dominate most on the search's own scores, at most `export` each,
        the most valuable first. Where the baselines that the search scored leave room, those follow
        that it passed over and that should count by what its surrogate expects.

        Args:
            failed: digests of finalists that failed; they make room for the next ones.
        """
        rows, count = self._study.evaluations, self._export
        worst = reference_point.worst(
            self._objectives.reference_point, self._objectives.unscaled, rows
        )
        good = [e for e in comparable(rows) if e.strategy.digest not in failed]
        mine = select_subset_of([e for e in good if not is_baseline_evaluation(e)], worst, count)
        baselines = select_subset_of([e for e in good if is_baseline_evaluation(e)], worst, count)
        over = [
            e
            for e in self._passed_over(good)
            if e.strategy.digest not in failed
            and not score_checks.unsound({"a loss": e.objectives})
        ]
        more = select_subset_of([*baselines, *over], worst, count)
        return mine, [*baselines, *(e for e in more if not e.images)][:count]

    def by_digest(self, failed: Collection[str]) -> tuple[dict[str, Evaluation], set[str]]:
        """The finalists by digest, the most valuable first, and which of them are baselines.

        Args:
            failed: digests of finalists that failed.
        """
        best, baselines = self.best(failed)
        scored = [e for e in baselines if e.images]
        pairs = itertools.zip_longest(best, scored)
        rows = {e.strategy.digest: e for pair in pairs for e in pair if e is not None}
        # No budget is kept for what the search passed over; it comes last, where there is room.
        rows |= {e.strategy.digest: e for e in baselines if not e.images}
        return rows, {e.strategy.digest for e in baselines}

    def _passed_over(self, good: Sequence[Evaluation]) -> list[Evaluation]:
        """Baselines that were not scored on all images, as if they had been."""
        if not good or good[0].images < self._top:
            return []  # What is expected on the top rung cannot be held against a lower one.
        unaccelerated = self._costs.unaccelerated
        tables = self._costs.of(unaccelerated)
        if any(limit.name not in tables for limit in self._objectives.limits):
            return []  # Nobody knows whether they keep it, and they would stand in for who does.
        known = {e.strategy.digest for e in good} | {unaccelerated.digest}
        return [
            Evaluation(-1, origin, (), one, self._costs.of(one), "", 0.0, losses, 0.0, 0)
            for origin, one, losses in self._unscored(self._study.evaluations)
            if one.digest not in known and not unmeasurable.unmeasurable_reason(self._study, one)
        ]


def select_subset_of(
    rows: list[Evaluation], reference: tuple[float, ...], count: int
) -> list[Evaluation]:
    """Choose the evaluations that together dominate most.

    The last third is chosen by the objectives' logarithms: the volume itself hardly sees the slow
    and faithful end of a front, where strategies without a loss are.

    Args:
        rows: evaluations to choose from.
        reference: the worst point that counts.
        count: how many, at most.
    """
    if not rows:
        return []
    points, worst = np.array([row.objectives for row in rows]), np.array(reference)
    chosen = select_subset(points, reference, count - count // FAITHFUL)
    if (points > 0).all() and (worst > 0).all():
        low = np.minimum(points.min(0), worst) / 2
        points, worst = np.log(points / low), np.log(worst / low)
    return [rows[index] for index in select_subset(points, tuple(worst), count, chosen)]
