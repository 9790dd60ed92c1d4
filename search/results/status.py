"""Status of a search, from its study alone: for progress, the status command, logs and trackers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from search import budget as budgets
from search.config import SearchConfig
from search.study.archive import ParetoArchive
from search.study.measurements import Measurements
from search.study.study import Study


def duration(seconds: float) -> str:
    """Seconds in words: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


@dataclass(frozen=True)
class SearchStatus:
    """Status of a search.

    Attributes:
        spent: device seconds.
        share: share of the budget that is used.
        budget: budget in words.
        evaluations, failed: numbers of finished and of failed evaluations.
        rungs: number of successes by number of images.
        front: number of points on the search's own front.
        hypervolume: hypervolume of that front; None before the unaccelerated pipeline is measured.
        best: speedup of its fastest point with a score no worse than the unaccelerated pipeline's,
            which is no test; None without one.
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

    def as_text(self) -> dict[str, str]:
        """Status as names and texts."""
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
            if self.front and not self.hypervolume:
                found["hypervolume"] += ", every strategy is beyond the worst point that counts"
        if self.best is not None:
            found["fastest as good"] = f"{self.best:.2f}x, not tested"
        return found


def search_status(config: SearchConfig, study: Study, best: ParetoArchive) -> SearchStatus:
    """Compute the status of a search.

    Args:
        config: settings of the search.
        study: its log.
        best: best points of this study; updated here.
    """
    rows, budget = study.evaluations, budgets.parse_budget(config.budget)
    best.read(rows)
    measured = Measurements(study)
    base, worst = measured.unaccelerated_scores, measured.reference_point
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
    counts = Counter(row.images for row in rows if row.succeeded)
    good = best.fastest_as_good(config.metric_set.lossless_metric, base) if base else None
    return SearchStatus(
        spent=spent,
        share=share,
        budget=words,
        evaluations=done,
        failed=sum(not row.succeeded for row in rows),
        rungs=dict(sorted(counts.items())),
        front=len(best.front),
        hypervolume=best.hypervolume(worst) if worst else None,
        best=good.scores["speedup"] if good else None,
        left=max(0.0, rest) / workers if done else None,
    )
