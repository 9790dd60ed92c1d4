"""One run of a search: what is measured before it, and the parts that carry it out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evaluate.kinds import Kinds
from evaluate.latency_table import kinds_made
from evaluate.scores import Scoring
from search import budget as budgets
from search.config import SearchConfig
from search.costs import measurement as measuring
from search.costs.cost_tracker import CostTracker, patience
from search.costs.forecast import Forecast, bred
from search.costs.measurement import DeviceMeasurement
from search.engine import run_metadata as record
from search.engine import worker_count as crew
from search.engine.loop import SearchLoop
from search.engine.scorer import Scorer
from search.engine.sensitivity import SensitivityMeasurement
from search.engine.time_report import Clock
from search.images import determinism as repeats
from search.images import feature_cache as samples
from search.images.shipped_samples import ShippedSamples
from search.images.unaccelerated import UnacceleratedImages
from search.initial.sensitivity_schedules import SensitivitySchedules
from search.objectives.objectives import Goals, needed
from search.proposers.generation_strategy import Proposer
from search.study import score_checks as gate
from search.study.reference_point import worst
from search.study.study import Study
from search.surrogate.surrogate import Surrogate
from search.tracking.events import Events
from search.workers.executor import Executor
from search.workers.worker import Request
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
        self.scoring: dict[str, Scoring] = {}
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

    def prepare(self) -> None:
        """Measure what every evaluation needs: the unaccelerated images and the latency table."""
        self.device.open_workers()
        count = self.config.images
        if self.figures.view == "real":  # That it can be read is seen before a run is accepted.
            self.scoring["search"] = self.images.scoring("search", count)
        self.accepted()
        samples.sweep(self.folder / "samples", self.study.evaluations)
        self.say("drawing the first prompt twice")
        name, limit = self.config.model.name, self.patience(2)
        repeats.check(self.study, self.executor, self.baseline, limit, name, self.folder)
        if self.figures.view == "self":
            self.scoring["search"] = self.images.scoring("search", count)
        self.base = self.images.sample("search", count)
        gate.unaccelerated_images(self.base)
        self.chance = gate.unaccelerated_chance(self.scoring["search"], self.base)
        plain = gate.unaccelerated_scores(self.scoring["search"], self.base)
        self.table = self.device.latency_table()
        counted = "macs" in needed(self.config.objectives, self.config.constraints)
        self.macs = Kinds(self.device.multiply_accumulates()) if counted else None
        self.base_scores: dict[str, float] = plain | self.costs(self.baseline)
        self.goals = self.make_goals(self.base_scores)
        record.prepared(self.study, self.base_scores, self.goals)
        limit = self.config.timeout or patience(2 * self.base_scores["latency_s"])
        self.executor.check = repeats.request(self.baseline, limit)
        self.goals_at = {count: self._goals_at(count) for count in self.rungs}
        self.scorer = Scorer(
            self.scoring["search"], self.base, self.goals_at, self.costs, self.images,
            self.figures.reading, self.folder, self.limit,
        )  # fmt: skip
        self.spending = self._tracker()
        self.measured = True
        known: list[tuple[str, Strategy]] = []
        if self.config.sensitivity:
            known = self._sensitivity()
        surrogate = self._surrogate() if self.config.surrogate else None
        self.proposer.learn(self.table.predict, known, surrogate, lambda: self.reference)
        self._settle_workers()
        self.plan = measuring.make_plan(self.study, self.spending, self._forecast())
        for line in self.plan.lines():
            self.tell(line)

    def _tracker(self) -> CostTracker:
        owed = self.images.owed("heldout", self.config.heldout_images)
        plain = self.base_scores["latency_s"]
        return measuring.make_tracker(self.config, self.study, plain, owed)

    def _forecast(self) -> Forecast:
        accounts, latency = self.spending, self.table.predict
        owed = accounts.draw(accounts.plain, accounts.owed)
        before = measuring.measured_seconds(self.study)
        proposals = bred(self.proposer, latency, self.config.surrogate)
        return Forecast(
            self.config, self.proposer, latency, self.baseline, accounts, before, owed, proposals
        )

    def _sensitivity(self) -> list[tuple[str, Strategy]]:
        """Measure the sensitivity of calls; returns the schedules that follow."""
        schedules, latency = SensitivitySchedules(self.space, self.baseline.solver_text), self.table
        count = self.config.sensitivity

        def request(one: Strategy) -> Request:
            limit = self.limit(latency.predict(one), count)
            return self.images.request(one.digest, one, "search", count, limit=limit)

        SensitivityMeasurement(
            schedules, self.study, self.executor, request, self.figures.network, self.folder,
            self.say,
        ).measure()  # fmt: skip
        return schedules.seeds(self.study.noted, latency.predict, self.config.population)

    def _settle_workers(self) -> None:
        """Use as many workers as really draw more."""
        seeds = [one for _, one in self.proposer.seeds] or [self.baseline]
        fast = min(seeds, key=self.table.predict)
        count = min(self.config.model.batch, self.rungs[0])  # As most evaluations draw.
        limit = self.patience(count)
        one = self.images.request(crew.NOTE, fast, "search", count, limit=limit)

        def spent(seconds: float) -> None:
            self.spending.saw(self.table.predict(fast), count, seconds)

        crew.settle(
            self.executor, self.study, one, spent, self.folder, self.say, self._tell
        )  # fmt: skip

    def _surrogate(self) -> Surrogate:
        """Predictions of the objectives, those that follow from the tables exactly."""
        exact = self.costs(self.baseline)

        def loss(name: str) -> Callable[[Strategy], float]:
            return lambda one: self.goals.loss(name, self.costs(one)[name])

        costs = {name: loss(name) for name in self.goals.names if name in exact}
        within = self.goals.only(exact)
        return Surrogate(
            self.space, self.goals.names, costs, self.config.seed,
            lambda one: within.violation(self.costs(one)),
        )  # fmt: skip

    def _goals_at(self, count: int) -> Goals:
        """The goals held against the unaccelerated figures on a rung's prompts."""
        base = self.base.first(count)
        plain = gate.unaccelerated_scores(self.scoring["search"], base)
        return self.make_goals(plain | self.costs(self.baseline))

    def make_goals(self, base: dict[str, float]) -> Goals:
        """The objectives and constraints, held against figures of the unaccelerated pipeline."""
        return Goals.create(self.config.objectives, self.config.constraints, base, self.chance)

    def costs(self, strategy: Strategy) -> dict[str, float]:
        """What follows from the tables: seconds, times faster, multiply-accumulates if counted."""
        seconds = self.table.predict(strategy)
        found = {"latency_s": seconds, "speedup": self.table.predict(self.baseline) / seconds}
        if self.macs is not None:
            found["macs"] = sum(map(self.macs.cost, kinds_made(strategy, self.config.model.share)))
        return found

    def search(self) -> None:
        """Evaluate proposals; see `search.engine.loop`."""
        SearchLoop(
            self.study, self.executor, self.proposer, self.spending, self.baseline,
            self.table.predict, self.config.budget, self.scorer, self.events, self.clock, self.say,
            self.folder,
        ).run()  # fmt: skip

    def limit(self, latency: float, images: int) -> float:
        """Seconds after which drawing so many images at that latency is given up."""
        return self.config.timeout or self.spending.limit(latency, images)

    def patience(self, images: int) -> float | None:
        """The same for unaccelerated images; None, for ever, as long as nothing was drawn yet."""
        if not self.measured:
            return self.config.timeout
        return self.limit(self.base_scores["latency_s"], images)

    @property
    def reference(self) -> tuple[float, ...]:
        """The worst point that counts; see `search.study.reference_point`."""
        return self.worst(self.goals)

    def worst(self, goals: Goals) -> tuple[float, ...]:
        """The worst point that counts under goals, by what the search has measured so far."""
        return worst(goals.reference, goals.unscaled, self.study.evaluations)
