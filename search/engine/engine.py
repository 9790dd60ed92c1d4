"""One run of a search: what is measured before it, and the parts that carry it out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evaluate.scoring import Scoring
from search import budget as budgets
from search.config import SearchConfig
from search.costs import measurement as measuring
from search.costs.cost_model import CostModel
from search.costs.cost_prediction import Prediction
from search.costs.cost_tracker import CostTracker, patience
from search.costs.forecast import Forecast, bred
from search.costs.measurement import DeviceMeasurement
from search.engine import run_metadata as record
from search.engine import worker_count as crew
from search.engine.dry_run import DryRun
from search.engine.loop import SearchLoop
from search.engine.scorer import Scorer
from search.engine.sensitivity import SensitivityMeasurement
from search.engine.time_report import Clock
from search.finalists.ablation import Ablation
from search.finalists.choice import FinalistChoice
from search.finalists.final_scoring import FinalScoring
from search.images import determinism as repeats
from search.images import feature_cache as samples
from search.images.shipped_samples import ShippedSamples
from search.images.unaccelerated import UnacceleratedImages
from search.initial.sensitivity_schedules import SensitivitySchedules
from search.objectives.objectives import Goals, needed
from search.proposers.generation_strategy import Proposer
from search.results.finalist import Final
from search.study import score_checks as gate
from search.study.measurements import Measurements
from search.study.reference_point import worst
from search.study.study import Study
from search.surrogate.surrogate import Surrogate
from search.tracking.events import Events
from search.workers.executor import Executor
from search.workers.messages import SampleRequest
from strategies import SearchSpace, Strategy

Report = Callable[[str], None]


class Engine:
    """One run of a search.

    Args:
        config: its settings.
        folder: the run's folder.
        study: its log.
        executor: its workers.
        space: what is searched.
        baseline: the unaccelerated pipeline as a strategy.
        proposer: what comes next.
        report: status callback, called whenever something has changed.
        events: told of what happens.
    """

    def __init__(
        self,
        config: SearchConfig,
        folder: Path,
        study: Study,
        executor: Executor,
        space: SearchSpace,
        baseline: Strategy,
        proposer: Proposer,
        report: Report,
        events: Events | None = None,
    ) -> None:
        self.config, self.folder, self.study = config, folder, study
        self.executor, self.space, self.baseline = executor, space, baseline
        self.proposer, self._report = proposer, report
        self.events = events or Events()
        self.budget = budgets.parse(config.budget)
        self.figures = config.figures
        self.rungs = config.ladder
        self.clock = Clock()
        self.unscored = 0
        self.shipped: ShippedSamples | None = None  # Samples of baselines that need no drawing.
        self.measured = False  # Whether it is known what drawing costs.
        self.accepted: Callable[[], None] = lambda: None  # Called once nothing can be refused.
        self.tell: Callable[[str], None] = lambda _: None  # Called with lines for people.
        self.images = UnacceleratedImages(
            config, folder, study, executor, baseline, self.patience, self.say, self._tell
        )
        self.device = DeviceMeasurement(
            study, executor, space, baseline, config.model.share, config.timeout, folder, self.say
        )

    def _tell(self, line: str) -> None:
        self.tell(line)

    def say(self, doing: str) -> None:
        """Report what is being done now."""
        self._report(doing)

    def predict(self) -> Prediction:
        """Predict what the search will cost, of a study that is empty and will not be kept."""
        return DryRun(
            self.config, self.folder, self.study, self.executor, self.space, self.baseline,
            self.proposer, self.device, self.images,
        ).predict()  # fmt: skip

    def prepare(self) -> None:
        """Measure what every evaluation needs: the unaccelerated images and the latency table."""
        self.device.open_workers()
        count = self.config.images
        if self.figures.view == "real":  # That it can be read is seen before a run is accepted.
            self.scoring: Scoring = self.images.scoring("search", count)
        self.accepted()
        samples.sweep(self.folder / "samples", self.study.evaluations)
        self.say("generating the first prompt twice")
        name, limit = self.config.model.name, self.patience(2)
        repeats.check(self.study, self.executor, self.baseline, limit, name, self.folder)
        if self.figures.view == "self":
            self.scoring = self.images.scoring("search", count)
        self.base = self.images.sample("search", count)
        gate.unaccelerated_images(self.base)
        self.chance = gate.unaccelerated_chance(self.scoring, self.base)
        plain = gate.unaccelerated_scores(self.scoring, self.base)
        table = self.device.latency_table()
        counted = "macs" in needed(self.config.objectives, self.config.constraints)
        macs = self.device.multiply_accumulates() if counted else None
        self.costs = CostModel(table, macs, self.baseline, self.config.model.share)
        self.base_scores: dict[str, float] = plain | self.costs.of(self.baseline)
        self.goals = self.make_goals(self.base_scores)
        record.prepared(self.study, self.base_scores, self.goals)
        limit = self.config.timeout or patience(2 * self.base_scores["latency_s"])
        self.executor.check = repeats.request(self.baseline, limit)
        self.goals_at = {count: self._goals_at(count) for count in self.rungs}
        self.spending = self._tracker()
        self.measured = True
        self.scorer = Scorer(
            self.scoring, self.base, self.goals_at, self.costs.of, self.images,
            self.figures.reading, self.folder, self.spending.limit,
        )  # fmt: skip
        known: list[tuple[str, Strategy]] = []
        if self.config.sensitivity:
            known = self._sensitivity()
        surrogate = self._surrogate() if self.config.surrogate else None
        self.proposer.learn(self.costs.latency, known, surrogate, lambda: self.reference)
        self._settle_workers()
        self.plan = measuring.make_plan(self.study, self.spending, self._forecast())
        for line in self.plan.lines():
            self.tell(line)

    def _tracker(self) -> CostTracker:
        owed = self.images.owed("heldout", self.config.heldout_images)
        plain = self.base_scores["latency_s"]
        return measuring.make_tracker(self.config, self.study, plain, owed)

    def _forecast(self) -> Forecast:
        accounts, latency = self.spending, self.costs.latency
        owed = accounts.draw(accounts.plain, accounts.owed)
        before = Measurements(self.study).seconds
        proposals = bred(self.proposer, latency, self.config.surrogate)
        return Forecast(
            self.config, self.proposer, latency, self.baseline, accounts, before, owed, proposals
        )

    def _sensitivity(self) -> list[tuple[str, Strategy]]:
        """Measure the sensitivity of calls; returns the schedules that follow."""
        schedules = SensitivitySchedules(self.space, self.baseline.solver_text)
        count = self.config.sensitivity

        def request(one: Strategy) -> SampleRequest:
            limit = self.spending.limit(self.costs.latency(one), count)
            return self.images.request(one.digest, one, "search", count, limit=limit)

        SensitivityMeasurement(
            schedules, self.study, self.executor, request, self.figures.network, self.folder,
            self.say,
        ).measure()  # fmt: skip
        return schedules.seeds(
            Measurements(self.study).sensitivity, self.costs.latency, self.config.population
        )

    def _settle_workers(self) -> None:
        """Use as many workers as really draw more."""
        seeds = [one for _, one in self.proposer.seeds] or [self.baseline]
        fast = min(seeds, key=self.costs.latency)
        count = min(self.config.model.batch, self.rungs[0])  # As most evaluations draw.
        limit = self.patience(count)
        one = self.images.request(crew.KEY, fast, "search", count, limit=limit)

        def spent(seconds: float) -> None:
            self.spending.saw(self.costs.latency(fast), count, seconds)

        crew.settle(
            self.executor, self.study, one, spent, self.folder, self.say, self._tell
        )  # fmt: skip

    def _surrogate(self) -> Surrogate:
        """Predictions of the objectives, those that follow from the tables exactly."""
        exact = self.costs.of(self.baseline)

        def loss(name: str) -> Callable[[Strategy], float]:
            return lambda one: self.goals.loss(name, self.costs.of(one)[name])

        costs = {name: loss(name) for name in self.goals.names if name in exact}
        within = self.goals.only(exact)
        return Surrogate(
            self.space, self.goals.names, costs, self.config.seed,
            lambda one: within.violation(self.costs.of(one)),
        )  # fmt: skip

    def _goals_at(self, count: int) -> Goals:
        """The goals held against the unaccelerated figures on a rung's prompts."""
        base = self.base.first(count)
        plain = gate.unaccelerated_scores(self.scoring, base)
        return self.make_goals(plain | self.costs.of(self.baseline))

    def make_goals(self, base: dict[str, float]) -> Goals:
        """The objectives and constraints, held against figures of the unaccelerated pipeline."""
        return Goals.create(self.config.objectives, self.config.constraints, base, self.chance)

    def search(self) -> None:
        """Evaluate proposals; see `search.engine.loop`."""
        SearchLoop(
            self.study, self.executor, self.proposer, self.spending, self.baseline,
            self.costs.latency, self.config.budget, self.scorer, self.events, self.clock, self.say,
            self.folder,
        ).run()  # fmt: skip

    def finish(self) -> list[Final]:
        """Score the finalists; see `search.finalists.final_scoring`."""
        self.clock.enter("scoring")
        found = FinalScoring(
            self.config, self.folder, self.study, self.executor, self.images, self.choice(),
            self.goals, self.make_goals, self.costs, self.spending, self.shipped, self.events,
            self.say,
        ).run()  # fmt: skip
        self.unscored = found.unscored
        return found.finals

    def choice(self) -> FinalistChoice:
        """The choice of finalists."""
        return FinalistChoice(
            self.study, self.config.export, self.rungs[-1], self.goals, self.costs,
            self.proposer.passed_over,
        )  # fmt: skip

    def ablation(self) -> Ablation:
        """The scoring of strategies without one of their methods."""
        return Ablation(
            self.config, self.folder, self.study, self.executor, self.images, self.costs,
            self.spending, self.say,
        )  # fmt: skip

    def patience(self, images: int) -> float | None:
        """Seconds after which drawing unaccelerated images is given up.

        None, for ever, as long as nothing was drawn yet.
        """
        if not self.measured:
            return self.config.timeout
        return self.spending.limit(self.base_scores["latency_s"], images)

    @property
    def reference(self) -> tuple[float, ...]:
        """The worst point that counts; see `search.study.reference_point`."""
        return self.worst(self.goals)

    def worst(self, goals: Goals) -> tuple[float, ...]:
        """The worst point that counts under goals, by what the search has measured so far."""
        return worst(goals.reference, goals.unscaled, self.study.evaluations)
