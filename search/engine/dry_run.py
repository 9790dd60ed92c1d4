"""Prediction of the cost of a search, from a few measurements: `--dry-run`.

It measures a batch of unaccelerated images, a batch of an initial strategy of median latency, and
two turns of the latency table, the first of which warms up. Everything else is estimated from
these. The cost of initial strategies follows from the table. The cost of proposals follows from the
random strategies of the initial design; if nothing is screened, the proposer is asked as if all
initial strategies were equally good. The final scoring is that of as many strategies as may be
exported.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from evaluate.speed.latency_measurement import make_table
from search.budget import parse_budget
from search.config import SearchConfig
from search.costs.cost_model import CostModel
from search.costs.cost_prediction import CostPrediction
from search.costs.cost_tracker import CostTracker
from search.costs.forecast import Forecast, bred, equally_good, of_median_latency
from search.costs.measurement import DeviceMeasurement
from search.costs.table_precision import MIN_TURNS
from search.costs.whole_generations import WholeGenerations
from search.engine.proposal_stream import ProposalStream
from search.images.unaccelerated import UnacceleratedImages
from search.initial.design import RANDOM
from search.initial.sensitivity_schedules import SensitivitySchedules
from search.objectives.objectives import required_scores
from search.proposers.generation_strategy import GenerationStrategy
from search.study.required import require_success
from search.study.study import Study
from search.workers.executor import Executor
from search.workers.messages import A, Request, Response
from strategies import SearchSpace, Strategy

ASKED = 48  # Proposals whose latencies are averaged.


class DryRun:
    """The prediction of a run that has not begun.

    Args:
        config: settings of the search.
        folder: folder of the run, which will not be kept.
        study: log of the run, which is empty and will not be kept.
        executor: workers.
        space: strategies that may be proposed.
        unaccelerated: the unaccelerated pipeline as a strategy.
        generation: proposes strategies.
        device: makes requests for turns of the latency table.
        images: makes requests for images.
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
        device: DeviceMeasurement,
        images: UnacceleratedImages,
    ) -> None:
        self._config, self._folder, self._study = config, folder, study
        self._executor, self._space, self._unaccelerated = executor, space, unaccelerated
        self._generation, self._device, self._images = generation, device, images
        counted = "macs" in required_scores(config.objectives, config.constraints)
        self._whole = WholeGenerations(
            study, executor, unaccelerated, config.model.share, counted, config.timeout,
            config.processes_per_worker, lambda _: None,
        )  # fmt: skip
        self._spent = 0.0

    def predict(self) -> CostPrediction:
        """Measure a little, and predict the run."""
        config, executor, unaccelerated = self._config, self._executor, self._unaccelerated
        began = time.monotonic()
        device = executor.open()
        start_up = time.monotonic() - began
        self._ask(self._device.table_turn(0))
        turn = self._ask(self._device.table_turn(1))
        times = require_success(turn, self._folder)
        table = make_table([{}, times.kinds], [[], times.around], device, config.model.share)
        costs = CostModel(table, None, unaccelerated, config.model.share)
        self._generation.set_measurements(costs.latency)
        batch = min(config.model.batch, config.images)
        plain = (
            self._ask(
                self._images.generation_request("base", unaccelerated, "search", batch)
            ).seconds
            / batch
        )
        accounts = self._accounts(costs, batch)
        before = plain * self._images.missing_images("search", config.images)
        others = self._others(costs, accounts, turn.seconds)
        measured = MIN_TURNS * turn.seconds
        owed = plain * self._images.missing_images("heldout", config.heldout_images)
        forecast = Forecast(
            config, self._generation, costs.latency, unaccelerated, accounts,
            before + measured + others + 2 * plain,  # The first prompt is generated twice.
            owed, self._proposals(costs), self._whole.predict,
        )  # fmt: skip
        plan = forecast.plan()
        evaluations, search, done = forecast.evaluations()
        finalists, after, timed = forecast.after(done)
        shared = before + others + search + after
        return CostPrediction(
            device=device,
            measured=self._spent,
            before=forecast.before,
            search=search,
            after=after + timed,
            evaluations=evaluations,
            initial=forecast.initial_count(done),
            finalists=finalists,
            # All processes of a worker are busy at once, and the seconds of all of them count.
            wall=start_up
            + (shared / executor.slots + measured + timed) / config.processes_per_worker,
            workers=executor.slots,
            plan=plan,
        )

    def _ask(self, request: Request[A]) -> Response[A]:
        outcome = self._executor.run_exclusive(request)
        require_success(outcome, self._folder)
        self._spent += outcome.seconds
        return outcome

    def _accounts(self, costs: CostModel, batch: int) -> CostTracker:
        """Cost tracker of the run, after images of an initial strategy of median latency."""
        config = self._config
        initial = [one for _, one in self._generation.initial] or [self._unaccelerated]
        one = of_median_latency(initial, costs.latency)
        accounts = CostTracker(
            parse_budget(config.budget), self._study, config.ladder, config.heldout_images,
            config.export, costs.latency(self._unaccelerated),
            processes=config.processes_per_worker,
        )  # fmt: skip
        drawn = self._ask(self._images.generation_request("middle", one, "search", batch))
        accounts.record(costs.latency(one), batch, drawn.seconds)
        return accounts

    def _others(self, costs: CostModel, accounts: CostTracker, turn: float) -> float:
        """Seconds of multiply-accumulates and sensitivity, if they are asked for.

        Args:
            costs: latency of a strategy.
            accounts: predicted time of generating images.
            turn: seconds of a turn of the latency table.
        """
        config, found = self._config, 0.0
        if "macs" in required_scores(config.objectives, config.constraints):
            found += turn
        if config.sensitivity:
            asked = SensitivitySchedules(self._space, self._unaccelerated.solver_text).asked()
            found += accounts.predict_generation(sum(map(costs.latency, asked)), config.sensitivity)
        return found

    def _proposals(self, costs: CostModel) -> list[Strategy]:
        """Strategies about as fast as those that are bred.

        Where nothing is screened, children of initial strategies are among them, as if these were
        equally good.
        """
        generation, screened = self._generation, self._config.surrogate
        drawn = bred(generation, costs.latency, screened)
        if screened and drawn:
            return drawn
        drawn = [one for origin, one in generation.initial if origin == RANDOM]
        finished = equally_good(generation, costs.latency, len(self._config.objectives))
        stream = ProposalStream(generation, self._unaccelerated, finished)
        asked = itertools.islice(iter(lambda: stream.next(finished), None), ASKED)
        return drawn + [proposal.strategy for proposal in asked]
