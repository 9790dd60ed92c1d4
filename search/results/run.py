"""Run read from its folder: everything found so far, for commands that show it.

Nothing is written, whether the run is finished, interrupted or running. Neither its model nor Ray
is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from accel.models.parts import PARTS
from evaluate.verdicts import Answer, Verdict, changes_in, judge_changes
from search.config import SearchConfig
from search.pareto import knee_index, select_subset
from search.results import finalist
from search.results import run_settings as settled
from search.results.finalist import Finalist, front
from search.study import run_lock as lock
from search.study.archive import ParetoArchive
from search.study.measurements import Measurements
from search.study.run_notes import RunNotes
from search.study.storage.location import JOURNAL, Location
from search.study.study import Study
from strategies import Strategy, StrategyError
from strategies.strategy import SCORED
from strategies.transfer import LEVELS

DIGITS = 12  # Of a fingerprint in a strategy's file.
NO_LOSS = "no-loss"  # Name of the fastest strategy of which a loss is ruled out.


def study_location(folder: Path, config: SearchConfig, url: str | None = None) -> Location:
    """Location of a run's study.

    Args:
        folder: folder of the run.
        config: its settings.
        url: URL of its database as given again, see `search.study.storage.database.complete`.
    """
    if not config.storage:
        return folder / JOURNAL
    from search.study.storage.database import complete

    return complete(config.storage, url)


@dataclass(frozen=True)
class FrontPoint:
    """A strategy on a front, with its scores.

    Attributes:
        origin: see `Evaluation`.
        scores: scores on `prompts`, `heldout` or `search`.
        intervals: `[value, low, high]` by name; none on the search's prompts.
        objectives: minimised objectives.
        verdict: verdict on a loss; None on the search's prompts, and if the metrics count every
            change as a loss.
        images: number of images; the same for all points of a front.
        judged: number of images of the verdict.
        base: scores of the unaccelerated pipeline.
    """

    origin: str
    strategy: Strategy
    scores: Mapping[str, float]
    intervals: Mapping[str, list[float]]
    objectives: tuple[float, ...]
    verdict: Verdict | None
    prompts: str
    images: int
    base: Mapping[str, float] = field(repr=False)
    judged: int = 0

    @property
    def no_loss(self) -> Answer | None:
        """The verdict's answer."""
        return None if self.verdict is None else self.verdict.answer


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        folder: folder of the run.
        config: its settings.
        study: its log, read only.
        scored: finalists of a search that is about to export them; else the study has them.
        told: summary of such a search; else its folder has it.
    """

    folder: Path
    config: SearchConfig
    study: Study
    scored: Sequence[Finalist] | None = None
    told: Mapping[str, Any] | None = None

    @cached_property
    def state(self) -> str:
        """`running`, `finished` or `interrupted`."""
        if lock.is_held(self.folder):
            return "running"
        return "finished" if finalist.is_finished(self.study, self.config) else "interrupted"

    @cached_property
    def finals(self) -> list[Finalist]:
        """Finalists on held-out prompts, with baselines; none before the search is finished."""
        return finalist.finals(self.study) if self.scored is None else list(self.scored)

    @cached_property
    def base(self) -> dict[str, float]:
        """Scores of the unaccelerated pipeline on the search's prompts.

        Raises:
            StrategyError: they are not measured yet.
        """
        found = Measurements(self.study).unaccelerated_scores
        if found is None:
            raise StrategyError(
                f"{self.folder}: the unaccelerated pipeline is not measured yet, so there is no "
                f"front; wait, or continue with: python -m search --resume {self.folder}"
            )
        return found

    @cached_property
    def unaccelerated(self) -> Finalist:
        """The unaccelerated pipeline on held-out prompts, for a finished search."""
        return next(final for final in self.finals if final.role == "unaccelerated")

    def front(self) -> list[FrontPoint]:
        """The exported front if the search is finished, else the search's own; fastest first.

        Raises:
            StrategyError: nothing has been scored yet.
        """
        return self._exported() if self.finals else self.search_front()

    def _exported(self) -> list[FrontPoint]:
        return [self.point(final) for final in front(self.finals)]

    def point(self, final: Finalist) -> FrontPoint:
        """A finalist as a point."""
        return FrontPoint(
            final.origin,
            final.strategy,
            final.scores,
            final.intervals,
            final.objectives,
            self.verdict(final),
            "heldout",
            final.images or self.config.heldout_images,
            self.unaccelerated.scores,
            final.judged or self.config.heldout_images,
        )

    def verdict(self, final: Finalist) -> Verdict | None:
        """Verdict on a loss of a finalist; None if that is not tested."""
        margins = self.config.all_margins
        if not margins or final.role == "unaccelerated":
            return None
        changes = changes_in(final.changes or final.intervals)
        images = final.judged or self.config.heldout_images
        return judge_changes(changes, margins, images, final.full)

    def search_front(self, count: int | None = None) -> list[FrontPoint]:
        """The front by the search's own scores, fastest first.

        Args:
            count: largest number of points; they are those that dominate most together.
        """
        base, rows = self.base, ParetoArchive().read(self.study.evaluations).front
        if not rows:
            raise StrategyError(f"{self.folder}: no strategy has been scored yet")
        if count is not None:
            points = np.array([row.objectives for row in rows], dtype=float)
            worst = Measurements(self.study).reference_point
            assert worst is not None
            rows = [rows[index] for index in select_subset(points, worst, count)]
        found = [
            FrontPoint(
                row.origin,
                row.strategy,
                row.scores,
                {},
                row.objectives,
                None,
                "search",
                row.images,
                base,
            )
            for row in rows
        ]
        return sorted(found, key=lambda point: point.scores["latency_s"])

    def file(self, point: FrontPoint, name: str) -> Strategy:
        """Strategy of a point as it is written: with its name, scores and provenance."""
        scores: dict[str, Any] = {**point.scores, "images": point.images, "prompts": point.prompts}
        if point.prompts == "heldout":
            scores |= {
                "intervals": dict(point.intervals),
                "no_loss": point.no_loss,
                "no_loss_images": point.judged,
                "margins": self.config.all_margins,
            }
        return described(self, point.strategy, name, scores, dict(point.base))


def named_points(points: Sequence[FrontPoint]) -> dict[str, FrontPoint]:
    """Points with names: `fastest`, `knee`, and `no-loss` if there is one.

    Args:
        points: points of a front, fastest first.
    """
    if not points:
        return {}
    rows = np.array([point.objectives for point in points], dtype=float)
    found = {"fastest": points[0], "knee": points[knee_index(rows)]}
    passed = [point for point in points if point.no_loss == "yes"]
    if passed:
        found[NO_LOSS] = passed[0]
    return found


def load_run(folder: Path, url: str | None = None) -> Run:
    """Open a run for reading.

    Raises:
        StrategyError: it is no run's folder, or its study cannot be read.
    """
    config = settled.read_settings(folder)
    where = study_location(folder, config, url)
    study = Study(where, name=config.study, read_only=True)
    settled.check_settings(RunNotes.of(study).settings, folder)
    return Run(folder, config, study)


def _built_from(run: Run) -> dict[str, Any]:
    """Fingerprint of each part of a run's model, and the parts that are beside its source."""
    inputs = RunNotes.of(run.study).inputs
    parts = run.config.model.model_dump(mode="json", include={*PARTS})
    weights = {} if inputs is None else dict(inputs["marks"]["weights"])
    shown = {name: digest[:DIGITS] for name, digest in weights.items()}
    return ({"weights": shown} if shown else {}) | ({"parts": parts} if parts else {})


def described(
    run: Run, strategy: Strategy, name: str, scores: dict[str, Any], baseline: dict[str, float]
) -> Strategy:
    """A strategy with its name, its scores and their provenance."""
    model, study = run.config.model, run.study
    levels, measured = RunNotes.of(study).skip_levels, Measurements(study)
    return strategy.model_copy(
        update={
            "name": name,
            "scores": scores,
            "baseline": baseline,
            "provenance": {
                "model": model.name,
                "study": run.folder.name,
                "device": measured.device,
                "dtype": model.dtype,
                "batch": 1,
                "guidance": model.guidance,
                "resolution": [model.height, model.width],
                "versions": measured.versions,
                "seed": run.config.seed,
                **_built_from(run),
                SCORED: strategy.digest,
                **({} if levels is None else {LEVELS: levels}),
            },
        }
    )
