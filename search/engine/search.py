"""One run of a search, put together from its parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

from search.config import SearchConfig
from search.costs.cost_prediction import CostPrediction
from search.costs.image_timeout import ImageTimeout
from search.costs.measurement import DeviceMeasurement
from search.engine import exporting
from search.engine.dry_run import DryRun
from search.engine.loop import SearchLoop
from search.engine.preparation import Preparation, Prepared
from search.engine.scorer import Scorer
from search.engine.time_report import PhaseClock
from search.finalists import ablation
from search.finalists.ablation import Ablation
from search.finalists.choice import FinalistChoice
from search.finalists.final_scoring import FinalResult, FinalScoring
from search.images.shipped_samples import ShippedSamples
from search.images.unaccelerated import UnacceleratedImages
from search.proposers.generation_strategy import GenerationStrategy
from search.results import export
from search.results.run import Run
from search.study.reference_point import worst
from search.study.study import Study
from search.tracking.events import EventBus
from search.workers.executor import Executor
from strategies import SearchSpace, Strategy

Report = Callable[[str], None]


class Search:
    """One run of a search. Only this class knows all of its parts.

    Args:
        config: settings of the search.
        folder: folder of the run.
        study: log of the run; what it has is not measured again.
        executor: workers.
        space: strategies that may be proposed.
        unaccelerated: the unaccelerated pipeline as a strategy.
        generation: choice of proposals.
        report: status callback, called whenever something has changed.
        events: events of the search.

    Attributes:
        shipped: features of baselines that need not be generated, if there are any.
        accepted: called once nothing can be refused any more.
        tell: callback with lines for people.
    """

    def __init__(
        self,
        config: SearchConfig,
        folder: Path,
        study: Study,
        executor: Executor,
        space: SearchSpace,
        unaccelerated: Strategy,
        generation: GenerationStrategy,
        report: Report,
        events: EventBus | None = None,
    ) -> None:
        self.config, self.folder, self.study = config, folder, study
        self.executor, self.space, self.unaccelerated = executor, space, unaccelerated
        self.generation, self._say = generation, report
        self.events = events or EventBus()
        self.clock = PhaseClock()
        self.shipped: ShippedSamples | None = None
        self.accepted: Callable[[], None] = lambda: None
        self.tell: Callable[[str], None] = lambda _: None
        self._timeout = ImageTimeout(config.timeout)
        self.images = UnacceleratedImages(
            config, folder, study, executor, unaccelerated, self._timeout, report, self._tell
        )
        self._device = DeviceMeasurement(
            study, executor, space, unaccelerated, generation.first_strategies(),
            config.model.share, config.timeout, folder, report,
        )  # fmt: skip

    def _tell(self, line: str) -> None:
        self.tell(line)

    def predict(self) -> CostPrediction:
        """Predict what the search will cost, of a study that is empty and will not be kept."""
        return DryRun(
            self.config, self.folder, self.study, self.executor, self.space, self.unaccelerated,
            self.generation, self._device, self.images,
        ).predict()  # fmt: skip

    @cached_property
    def prepared(self) -> Prepared:
        """Measurements that every evaluation needs; they are made when this is first read."""
        return Preparation(
            self.config, self.folder, self.study, self.executor, self.space, self.unaccelerated,
            self.generation, self.images, self._device, self._timeout, self.accepted, self._say,
            self._tell,
        ).run()  # fmt: skip

    def run(self) -> dict[str, Any]:
        """Carry out the whole search and export it; returns its summary."""
        self.prepare()
        self.evaluate()
        before = self.study.spent
        result = self.finish()
        seconds = ablation.spare(self.prepared.spending, self.study.spent - before)
        if seconds > 0:
            self.ablation().run(result.finals, seconds)
        return self.export(result)

    def prepare(self) -> Prepared:
        """Measure what every evaluation needs: unaccelerated images, latency table and others."""
        return self.prepared

    def evaluate(self) -> None:
        """Evaluate proposals until the budget is spent; see `search.engine.loop`."""
        known = self.prepared
        scorer = Scorer(
            known.scoring, known.base, known.objectives_at, known.costs.of, self.images,
            self.config.metric_set.reading, self.folder, known.spending.time_limit,
        )  # fmt: skip
        SearchLoop(
            self.study, self.executor, self.generation, known.spending, self.unaccelerated,
            known.costs.latency, known.whole.measure, self.config.budget, scorer, self.events,
            self.clock, self._say, self.folder,
        ).run()  # fmt: skip
        seen = {one.strategy.digest for one in self.study.evaluations}
        left = self.generation.left_out(seen | {self.unaccelerated.digest})
        if left:
            self._tell(
                f"the budget of {self.config.budget} ended before {left} strategies of the space "
                f"were evaluated; --resume {quote(str(self.folder))} with a higher --budget "
                "evaluates them"
            )

    def finish(self) -> FinalResult:
        """Score the finalists; see `search.finalists.final_scoring`."""
        known = self.prepared
        self.clock.enter("scoring")
        return FinalScoring(
            self.config, self.folder, self.study, self.executor, self.images, self.choice(),
            known.objectives, known.costs, known.spending, self.shipped, self.events, self._say,
        ).run()  # fmt: skip

    def export(self, result: FinalResult) -> dict[str, Any]:
        """Export the finished search; returns its summary."""
        run = Run(self.folder, self.config, self.study, result.finals)
        summary = exporting.summarise_search(
            run, self.initial, self.prepared.objectives, self.clock.seconds, result.unscored
        )
        export.write(run, summary)
        return summary

    @property
    def so_far(self) -> Run:
        """The run as the study has it now."""
        return Run(self.folder, self.config, self.study)

    @property
    def initial(self) -> set[str]:
        """Digests of the initial strategies."""
        return {one.digest for _, one in self.generation.initial}

    def choice(self) -> FinalistChoice:
        """The choice of finalists."""
        known = self.prepared
        return FinalistChoice(
            self.study, self.config.export, self.config.ladder[-1], known.objectives, known.costs,
            self.generation.promising_baselines,
        )  # fmt: skip

    def ablation(self) -> Ablation:
        """The scoring of strategies without one of their methods."""
        known = self.prepared
        return Ablation(
            self.config, self.folder, self.study, self.executor, self.images, known.costs,
            known.whole.measure, known.spending, self._say,
        )  # fmt: skip

    @property
    def reference(self) -> tuple[float, ...]:
        """Reference point by what is measured so far; see `search.study.reference_point`."""
        objectives = self.prepared.objectives
        return worst(objectives.reference_point, objectives.unscaled, self.study.evaluations)
