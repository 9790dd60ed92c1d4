"""Where a search stands, from its study alone: what progress, status, logs and trackers show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search import budget as budgets
from search.config import SearchConfig
from search.objectives.objectives import more_is_better
from search.pareto import hypervolume, nondominated
from search.study.reference_point import worst
from search.study.study import Evaluation, Study


class Best:
    """The front of the feasible evaluations on the most images that any has, kept up as they come.

    Attributes:
        images: that it is scored on.
        front: its evaluations, in the order they finished.
    """

    def __init__(self) -> None:
        self.images = 0
        self.front: list[Evaluation] = []
        self._read = 0

    def read(self, evaluations: Sequence[Evaluation]) -> Best:
        """Take in what has finished since the last time; returns itself."""
        for evaluation in evaluations[self._read :]:
            self.add(evaluation)
        self._read = len(evaluations)
        return self

    def add(self, evaluation: Evaluation) -> bool:
        """Take in one evaluation; returns whether it is on the front now."""
        if not evaluation.feasible or evaluation.images < self.images:
            return False
        if evaluation.images > self.images:
            self.images, self.front = evaluation.images, []
        rows = [*self.front, evaluation]
        points = np.array([row.objectives for row in rows], dtype=float)
        self.front = [rows[index] for index in nondominated(points)]
        return any(row is evaluation for row in self.front)

    def hypervolume(self, reference: Sequence[float]) -> float:
        """See `search.pareto.hypervolume`."""
        return hypervolume(np.array([row.objectives for row in self.front], dtype=float), reference)

    def fastest_as_good(
        self, yardstick: str | None, base: Mapping[str, float]
    ) -> Evaluation | None:
        """The fastest of the front whose figure is no worse than the unaccelerated pipeline's.

        That is no test: with few images a figure is no worse by chance.

        Args:
            yardstick: the figure that says so, see
                `search.objectives.metric_set.Figures`; None has none.
        """
        if yardstick is None:
            return None
        worst = _loss(yardstick, base)
        rows = [row for row in self.front if _loss(yardstick, row.scores) <= worst]
        return max(rows, key=lambda row: row.scores["speedup"], default=None)


def _loss(name: str, scores: Mapping[str, float]) -> float:
    return -scores[name] if more_is_better(name) else scores[name]


@dataclass(frozen=True)
class Standing:
    """Figures of a search.

    Attributes:
        spent: device seconds.
        share: of the budget that is used.
        budget: in words.
        evaluations, failed: finished ones.
        rungs: by number of images, how many succeeded on so many.
        front: points on the search's own front.
        hypervolume: of that front; None before the unaccelerated pipeline is measured.
        best: speedup of its fastest point with a figure no worse than the unaccelerated pipeline's,
            which is no test; None where there is none.
        left: seconds until the budget is spent with all workers busy; None before the first
            evaluation.
    """

    spent: float
    share: float
    budget: str
    evaluations: int
    failed: int
    rungs: dict[int, int]
    front: int
    hypervolume: float | None
    best: float | None
    left: float | None

    def words(self) -> dict[str, str]:
        """For people."""
        found = {
            "budget": self.budget,
            "evaluations": f"{self.evaluations} ({self.failed} failed)",
        }
        if len(self.rungs) > 1:
            rungs = ", ".join(f"{count} on {images}" for images, count in self.rungs.items())
            found["rungs"] = f"{rungs} images"
        if self.front:
            found["front"] = str(self.front)
        if self.hypervolume is not None:
            found["hypervolume"] = f"{self.hypervolume:.4f}"
        if self.best is not None:
            found["fastest as good"] = f"{self.best:.2f}x, not tested"
        return found


def base_scores(study: Study) -> dict[str, float] | None:
    """Figures of the unaccelerated pipeline on the search's prompts, once they are measured."""
    found: dict[str, float] | None = study.noted("base_scores")
    return found


def reference(study: Study) -> tuple[float, ...] | None:
    """The worst point that counts, see `search.study.reference_point`, once it is known."""
    found = study.noted("reference")
    if found is None:
        return None
    # Runs of earlier versions have a constant in its place.
    unscaled = study.noted("unscaled") or [False] * len(found)
    return worst(found, unscaled, study.evaluations)


def stand(config: SearchConfig, study: Study, best: Best) -> Standing:
    """Where a search stands.

    Args:
        best: of this study; is brought up to date.
    """
    rows, budget = study.evaluations, budgets.parse(config.budget)
    best.read(rows)
    base, worst = base_scores(study), reference(study)
    done, spent, workers = len(rows), study.spent, max(1, config.workers)
    if budget.seconds is not None:
        share, rest = spent / budget.seconds, budget.seconds - spent
        words = f"{spent / 60:.1f} of {budget.seconds / 60:.1f} min device time"
    else:
        assert budget.evaluations is not None
        share = done / budget.evaluations
        rest = (budget.evaluations - done) * float(
            np.mean([row.seconds for row in rows or ()] or 0)
        )
        words = f"{done} of {budget.evaluations} evaluations"
    counts = Counter(row.images for row in rows if row.ok)
    good = best.fastest_as_good(config.figures.yardstick, base) if base else None
    return Standing(
        spent=spent,
        share=share,
        budget=words,
        evaluations=done,
        failed=sum(not row.ok for row in rows),
        rungs=dict(sorted(counts.items())),
        front=len(best.front),
        hypervolume=best.hypervolume(worst) if worst else None,
        best=good.scores["speedup"] if good else None,
        left=max(0.0, rest) / workers if done else None,
    )
