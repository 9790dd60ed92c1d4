"""One run: what is measured before the search, and what an answer of a worker is worth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shlex import quote

from evaluate.kinds import Kinds
from evaluate.latency import kinds_made
from evaluate.reading import Sample
from evaluate.scores import Scoring
from evaluate.statistics import ScoreError
from search import budget as budgets
from search.config import SearchConfig
from search.costs import measurement as measuring
from search.costs.cost_tracker import patience
from search.engine import loop
from search.engine import worker_count as crew
from search.engine.sensitivity import Sensitivity
from search.engine.time_report import Clock
from search.images import determinism as repeats
from search.images import feature_cache as samples
from search.images import unaccelerated as drawing
from search.images.shared_cache import Shared
from search.images.shipped_samples import ShippedSamples
from search.objectives.objectives import Goals, needed
from search.proposers import successive_halving as rungs
from search.proposers.generation_strategy import Proposal, Proposer
from search.results import stored as record
from search.study import score_checks as gate
from search.study.reference_point import worst
from search.study.study import Evaluation, Study
from search.surrogate.surrogate import Surrogate
from search.tracking.events import Events
from search.workers.executor import LATE, Executor
from search.workers.worker import Outcome, Request
from strategies import SearchSpace, Strategy, StrategyError

Report = Callable[["Engine"], None]


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
        report: called whenever something has changed.
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
        self.doing = "starting"
        self.clock = Clock()
        self.origin, self.unsigned = "", False  # See `search.images.feature_cache.read`.
        self.unscored = 0
        self.shared: Shared | None = None  # Unaccelerated images that need not be drawn.
        self.shipped: ShippedSamples | None = None  # Nor these of baselines.
        self.measured = False  # Whether it is known what drawing costs.
        self.accepted: Callable[[], None] = lambda: None  # Called once nothing can be refused.
        self.tell: Callable[[str], None] = lambda _: None  # Called with lines for people.

    def say(self, doing: str) -> None:
        """Report, with what is being done now."""
        self.doing = doing
        self._report(self)

    def prepare(self) -> None:
        """Measure what every evaluation needs: the unaccelerated images and the latency table."""
        measuring.open_workers(self)
        count = self.config.images
        if self.figures.view == "real":  # That it can be read is seen before a run is accepted.
            self.scoring["search"] = drawing.scoring(self, "search", count)
        self.accepted()
        samples.sweep(self.folder / "samples", self.study.evaluations)
        repeats.check(self)
        if self.figures.view == "self":
            self.scoring["search"] = drawing.scoring(self, "search", count)
        self.base = drawing.unaccelerated(self, "search", count)
        gate.unaccelerated_images(self.base)
        self.chance = gate.unaccelerated_chance(self.scoring["search"], self.base)
        plain = gate.unaccelerated_scores(self.scoring["search"], self.base)
        self.table = measuring.latency_table(self)
        counted = "macs" in needed(self.config.objectives, self.config.constraints)
        self.macs = Kinds(measuring.multiply_accumulates(self)) if counted else None
        self.base_scores: dict[str, float] = plain | self.costs(self.baseline)
        self.goals = self.make_goals(self.base_scores)
        record.prepared(self)
        limit = self.config.timeout or patience(2 * self.base_scores["latency_s"])
        self.executor.check = repeats.request(self, limit)
        self.goals_at = {count: self._goals_at(count) for count in self.rungs}
        self.spending = measuring.spending(self)
        self.measured = True
        known: list[tuple[str, Strategy]] = []
        if self.config.sensitivity:
            sensitivity = Sensitivity(self, self.config.sensitivity)
            sensitivity.measure()
            known = sensitivity.seeds()
        surrogate = self._surrogate() if self.config.surrogate else None
        self.proposer.learn(self.table.predict, known, surrogate, lambda: self.reference)
        crew.settle(self)
        self.plan = measuring.plan(self)
        for line in self.plan.lines():
            self.tell(line)

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
        loop.search(self)

    def request(self, proposal: Proposal) -> Request:
        """To draw what the proposal's rung has more than the sample that is kept."""
        kept = self._kept(proposal)
        start = 0 if kept is None else proposal.drawn
        key, strategy = str(proposal.number), proposal.strategy
        limit = self.limit(self.table.predict(strategy), proposal.images - start)
        return drawing.request(self, key, strategy, "search", proposal.images, start, limit)

    def limit(self, latency: float, images: int) -> float:
        """Seconds after which drawing so many images at that latency is given up."""
        return self.config.timeout or self.spending.limit(latency, images)

    def patience(self, images: int) -> float | None:
        """The same for unaccelerated images; None, for ever, as long as nothing was drawn yet."""
        if not self.measured:
            return self.config.timeout
        return self.limit(self.base_scores["latency_s"], images)

    def _kept(self, proposal: Proposal) -> Sample | None:
        place = self._place(proposal.strategy, proposal.drawn)
        kept = proposal.drawn or -1
        return samples.read(place, kept, self.figures.reading, self.origin, self.unsigned)

    def _place(self, strategy: Strategy, images: int) -> Path:
        return samples.place(self.folder / "samples", strategy.digest, images)

    def settle(self, proposal: Proposal) -> None:
        """Forget the sample that an evaluation went on from, once it is in the study."""
        if proposal.drawn:
            samples.forget(self._place(proposal.strategy, proposal.drawn))

    def evaluation(self, proposal: Proposal, request: Request, outcome: Outcome) -> Evaluation:
        """What the answer to a proposal's request is worth."""
        scores: dict[str, float] = {}
        draws: tuple[tuple[float, ...], ...] = ()
        error, images = outcome.error, proposal.images
        if outcome.value is not None:
            try:
                sample: Sample = outcome.value
                if request.arguments[3]:
                    kept = self._kept(proposal)
                    assert kept is not None
                    sample = kept.followed_by(sample)
                base = self.base.first(images)
                scores = gate.scores(self.scoring["search"], sample, base)
                scores |= self.costs(proposal.strategy)
                if images < self.rungs[-1]:
                    draws = self._draws(sample, base)
                    place = self._place(proposal.strategy, images)
                    samples.write(sample, place, self.origin)
            except ScoreError as broken:
                scores, error = {}, str(broken)
        goals = self.goals_at[images]
        return Evaluation(
            proposal.number,
            proposal.origin,
            proposal.genome,
            proposal.strategy,
            scores,
            error,
            outcome.seconds,
            goals.losses(scores) if scores else (),
            goals.violation(scores) if scores else 0.0,
            images,
            draws,
        )

    def _draws(self, sample: Sample, base: Sample) -> tuple[tuple[float, ...], ...]:
        """Of every objective its losses on resamples of the prompts, costs having none."""
        found = rungs.resampled(self.scoring["search"], sample, base, self.goals.names)
        gate.finite({f"{name} on a resample of the prompts": v for name, v in found.items()})
        goals = self.goals_at[sample.count]
        return tuple(
            tuple(goals.loss(name, value) for value in found.get(name, ()))
            for name in self.goals.names
        )

    @property
    def reference(self) -> tuple[float, ...]:
        """The worst point that counts; see `search.study.reference_point`."""
        return self.worst(self.goals)

    def worst(self, goals: Goals) -> tuple[float, ...]:
        """The worst point that counts under goals, by what the search has measured so far."""
        return worst(goals.reference, goals.unscaled, self.study.evaluations)

    def must(self, outcome: Outcome, what: str = "the unaccelerated pipeline") -> None:
        """Raise where that failed without which there is no search."""
        if not outcome.error:
            return
        more = f"; {gate.USUAL}" if "NaN" in outcome.error else ""
        if outcome.error.startswith(LATE):
            more = (
                "; where it only needs longer, go on with: python -m search --resume "
                f"{quote(str(self.folder))} --timeout SECONDS"
            )
        raise StrategyError(f"{what} failed: {outcome.error}{more}")
