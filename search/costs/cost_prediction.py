"""Predicted costs of a search, as `--dry-run` shows them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from search.costs.budget_plan import BudgetPlan


@dataclass(frozen=True)
class CostPrediction:
    """Predicted costs, in seconds of device time if not said otherwise.

    Attributes:
        device: name of the device that it was measured on.
        measured: time spent on the measurement.
        before: time before the search, such as for unaccelerated images and latency table.
        search: time of the evaluations.
        after: time of the final scoring, and of timing end to end.
        evaluations: number of evaluations by number of images.
        initial: number of initial strategies among them.
        finalists: number of finalists.
        wall: seconds on the clock with the workers that there are.
        workers: number of workers.
        plan: plan of the run.
    """

    device: str
    measured: float
    before: float
    search: float
    after: float
    evaluations: dict[int, int]
    initial: int
    finalists: int
    wall: float
    workers: int
    plan: BudgetPlan

    @property
    def lack(self) -> str:
        """Message if the budget is too small for a search, with one that suffices; else empty."""
        if self.plan.budget.seconds is None or any(self.evaluations.values()):
            return ""
        return (
            f"this budget buys no search: what comes before and after it takes "
            f"{self.total / 60:.1f} min. --budget {self.plan.enough_words} or more would evolve as "
            "many strategies as the search starts with"
        )

    @property
    def total(self) -> float:
        """Device time of the whole run."""
        return self.before + self.search + self.after

    def to_json(self) -> dict[str, Any]:
        """The prediction as plain JSON; the number of initial strategies keeps its name `seeds`."""
        names = [one.name for one in fields(self) if one.name not in ("plan", "initial")]
        return {name: getattr(self, name) for name in names} | {
            "seeds": self.initial,
            "total": self.total,
            "evolves": self.plan.evolves,
            "enough": self.plan.enough,
        }

    def lines(self) -> list[str]:
        """Lines for people."""
        counts = ", ".join(f"{n} on {images} images" for images, n in self.evaluations.items())
        return [
            f"{self.workers} x {self.device}; measured for {self.measured:.0f} s of device time",
            f"before the search  {_minutes(self.before)}  unaccelerated images, latency table",
            f"search             {_minutes(self.search)}  evaluations: {counts}; "
            f"{self.initial} are initial strategies",
            f"final scoring      {_minutes(self.after)}  {self.finalists} strategies at most",
            f"device time        {_minutes(self.total)}  {self.wall / 60:.1f} min on the clock",
            *([] if self.plan.evolves or self.lack else [self.plan.advice()]),
        ]


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:6.1f} min"
