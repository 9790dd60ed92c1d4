"""Preparation of a search: everything that is measured before the first proposal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluate.extraction import ExtractedFeatures
from evaluate.scoring import Scoring
from search.config import SearchConfig
from search.costs import measurement as measuring
from search.costs.budget_plan import BudgetPlan
from search.costs.cost_model import CostModel
from search.costs.cost_tracker import CostTracker, patience
from search.costs.forecast import Forecast, bred, of_median_latency
from search.costs.image_timeout import ImageTimeout
from search.costs.measurement import DeviceMeasurement
from search.costs.whole_generations import WholeGenerations
from search.engine import run_metadata as record
from search.engine import worker_count as crew
from search.engine.sensitivity import SensitivityMeasurement
from search.images import determinism as repeats
from search.images import feature_cache as samples
from search.images.unaccelerated import UnacceleratedImages
from search.initial.sensitivity_schedules import SensitivitySchedules
from search.objectives.objectives import Objectives, required_scores
from search.proposers.generation_strategy import GenerationStrategy
from search.study import score_checks as gate
from search.study.measurements import BatchCost, Measurements
from search.study.reference_point import worst
from search.study.study import Study
from search.surrogate.surrogate import Surrogate
from search.workers.executor import Executor
from search.workers.messages import SampleRequest
from strategies import SearchSpace, Strategy


@dataclass(frozen=True)
class Prepared:
    """Measurements that every evaluation of a search needs.

    Attributes:
        scoring: scoring of features of the search's prompts.
        base: features of the unaccelerated images of these prompts.
        costs: latency and other costs of a strategy.
        whole: measures strategies that the tables cannot have.
        objectives: objectives and constraints on all images of the search.
        objectives_at: objectives and constraints on every rung, by its number of images.
        spending: spent and predicted device time.
        plan: plan of the budget.
    """

    scoring: Scoring
    base: ExtractedFeatures
    costs: CostModel
    whole: WholeGenerations
    objectives: Objectives
    objectives_at: Mapping[int, Objectives]
    spending: CostTracker
    plan: BudgetPlan


class Preparation:
    """Measurement of everything that a search needs before its first proposal.

    Args:
        config: settings of the search.
        folder: folder of the run.
        study: log of the run; what it has is not measured again.
        executor: workers.
        space: strategies that may be proposed.
        unaccelerated: the unaccelerated pipeline as a strategy.
        generation: choice of proposals, which takes what is measured.
        images: unaccelerated images, and requests for others.
        device: measurements of the workers' device.
        timeout: time limit of unaccelerated images, which takes their latency.
        accepted: called once nothing can be refused any more.
        say: status callback.
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
        images: UnacceleratedImages,
        device: DeviceMeasurement,
        timeout: ImageTimeout,
        accepted: Callable[[], None],
        say: Callable[[str], None],
        tell: Callable[[str], None],
    ) -> None:
        self._config, self._folder, self._study = config, folder, study
        self._executor, self._space, self._unaccelerated = executor, space, unaccelerated
        self._generation, self._images, self._device = generation, images, device
        self._timeout, self._accepted, self._say, self._tell = timeout, accepted, say, tell

    def run(self) -> Prepared:
        """Measure what the study does not have yet.

        Raises:
            StrategyError: the unaccelerated pipeline fails, or nothing can be compared with it.
            SearchError: a worker fails.
        """
        scoring = self._begin()
        base = self._images.sample("search", self._config.images)
        gate.unaccelerated_images(base)
        chance = gate.unaccelerated_chance(scoring, base)
        scores = gate.unaccelerated_scores(scoring, base)
        whole = self._whole_generations()
        costs = self._costs()
        fixed = costs.of(self._unaccelerated)
        names, limits = self._config.objectives, self._config.constraints
        objectives = Objectives.create(names, limits, scores | fixed, chance)
        record.keep_measurements(self._study, objectives.base, objectives)
        plain = fixed["latency_s"]
        self._executor.check = repeats.request(
            self._unaccelerated, self._config.timeout or patience(2 * plain)
        )
        objectives_at = {}
        for count in self._config.ladder:
            known = gate.unaccelerated_scores(scoring, base.first(count))
            objectives_at[count] = objectives.compared_with(known | fixed)
        owed = self._images.missing_images("heldout", self._config.heldout_images)
        self._measure_batch(costs)
        spending = measuring.make_tracker(self._config, self._study, plain, owed)
        self._timeout.follow(lambda images: spending.time_limit(plain, images))
        self._teach(objectives, costs, spending)
        self._settle_workers(costs, spending)
        forecast = self._forecast(costs, spending, whole)
        plan = measuring.make_plan(self._study, spending, forecast)
        every = self._generation.members
        for line in plan.lines(None if every is None else len(every)):
            self._tell(line)
        return Prepared(scoring, base, costs, whole, objectives, objectives_at, spending, plan)

    def _begin(self) -> Scoring:
        """Start the workers, and check the reference and the model; returns the scoring."""
        config = self._config
        self._device.open_workers()
        scoring: Scoring | None = None
        if (
            config.metric_set.view == "real"
        ):  # An unreadable one is refused before a run is accepted.
            scoring = self._images.make_scoring("search", config.images)
        self._accepted()
        samples.remove_leftovers(self._folder / "samples", self._study.evaluations)
        self._say("generating the first prompt twice")
        repeats.check_determinism(
            self._study, self._executor, self._unaccelerated, self._timeout(2), config.model.name,
            self._folder,
        )  # fmt: skip
        return self._images.make_scoring("search", config.images) if scoring is None else scoring

    def _costs(self) -> CostModel:
        table = self._device.latency_table()
        macs = self._device.multiply_accumulates() if self._counted else None
        measured = Measurements(self._study).whole_generation
        return CostModel(table, macs, self._unaccelerated, self._config.model.share, measured)

    @property
    def _counted(self) -> bool:
        """Whether multiply-accumulates are counted."""
        return "macs" in required_scores(self._config.objectives, self._config.constraints)

    def _whole_generations(self) -> WholeGenerations:
        return WholeGenerations(
            self._study, self._executor, self._unaccelerated, self._config.model.share,
            self._counted, self._config.timeout, self._config.processes_per_worker, self._say,
        )  # fmt: skip

    def _teach(self, objectives: Objectives, costs: CostModel, spending: CostTracker) -> None:
        """Give the proposer the latencies, further initial strategies and the surrogate."""
        known: list[tuple[str, Strategy]] = []
        if self._config.sensitivity:
            known = self._sensitivity(costs, spending)
        surrogate = self._surrogate(objectives, costs) if self._config.surrogate else None

        def reference() -> Sequence[float]:
            return worst(objectives.reference_point, objectives.unscaled, self._study.evaluations)

        self._generation.set_measurements(costs.tabulated, known, surrogate, reference)

    def _sensitivity(self, costs: CostModel, spending: CostTracker) -> list[tuple[str, Strategy]]:
        """Measure the sensitivity of calls; returns the schedules that follow."""
        schedules = SensitivitySchedules(self._space, self._unaccelerated.solver_text)
        count = self._config.sensitivity

        def request(one: Strategy) -> SampleRequest:
            limit = spending.time_limit(costs.latency(one), count)
            return self._images.generation_request(one.digest, one, "search", count, limit=limit)

        SensitivityMeasurement(
            schedules, self._study, self._executor, request, self._config.metric_set.network,
            self._folder, self._say,
        ).measure()  # fmt: skip
        measured = Measurements(self._study).sensitivity
        return schedules.initial_strategies(measured, costs.latency, self._config.population)

    def _surrogate(self, objectives: Objectives, costs: CostModel) -> Surrogate:
        """Predictions of the objectives; those that follow from the tables are exact.

        None does where strategies are measured as a whole: then costs are learned as well.
        """
        exact = costs.of(self._unaccelerated)

        def loss(name: str) -> Callable[[Strategy], float]:
            return lambda one: objectives.loss(name, costs.of(one)[name])

        learned = bool(self._space.adaptive)
        known = () if learned else [name for name in objectives.names if name in exact]
        within = objectives.restricted_to(exact)

        def violation(one: Strategy) -> float:
            return 0.0 if one.is_adaptive else within.violation(costs.of(one))

        return Surrogate(
            self._space, objectives.names, {name: loss(name) for name in known},
            self._config.seed, violation,
        )  # fmt: skip

    def _measure_batch(self, costs: CostModel) -> None:
        """Generate a batch where the unaccelerated images were there already, as those that ship.

        One image generated alone says little about the cost of a batch. Several workers that share
        a machine generate batches anyway, when they are compared.
        """
        measured = Measurements(self._study)
        drawn, _ = measured.unaccelerated("search")
        count, compared = self._usual_batch, self._executor.crowded and self._executor.slots > 1
        if measured.batch_cost or self._study.evaluations or compared or not 0 < drawn < count:
            return
        self._say("measuring the cost of a batch of images")
        initial = [one for _, one in self._generation.initial] or [self._unaccelerated]
        one = of_median_latency(initial, costs.latency)
        limit = self._timeout(count)
        asked = self._images.generation_request("batch", one, "search", count, limit=limit)
        outcome = self._executor.run_exclusive(asked)
        if not outcome.error:  # One that fails is found out as a proposal.
            measured.keep_batch_cost(BatchCost(costs.latency(one), count, outcome.seconds))

    @property
    def _usual_batch(self) -> int:
        """Number of images of most evaluations that are generated together."""
        return min(self._config.model.batch, self._config.ladder[0])

    def _settle_workers(self, costs: CostModel, spending: CostTracker) -> None:
        """Use as many workers as really generate more images."""
        initial = [one for _, one in self._generation.initial] or [self._unaccelerated]
        fast = min(initial, key=costs.latency)
        count = self._usual_batch
        limit = self._timeout(count)
        one = self._images.generation_request(crew.KEY, fast, "search", count, limit=limit)

        def spent(seconds: float) -> None:
            spending.record(costs.latency(fast), count, seconds)

        crew.settle(
            self._executor, self._study, one, spent, self._folder, self._say, self._tell
        )  # fmt: skip

    def _forecast(
        self, costs: CostModel, spending: CostTracker, whole: WholeGenerations
    ) -> Forecast:
        owed = spending.predict_generation(
            spending.unaccelerated_latency, spending.missing_unaccelerated_images
        )
        before = Measurements(self._study).seconds
        proposals = bred(self._generation, costs.latency, self._config.surrogate)
        return Forecast(
            self._config, self._generation, costs.latency, self._unaccelerated, spending, before,
            owed, proposals, whole.predict,
        )  # fmt: skip
