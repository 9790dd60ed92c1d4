"""Measurements of a device before anything is evaluated, which the study keeps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from evaluate.speed.latency_measurement import make_table
from evaluate.speed.latency_table import LatencyTable
from search.budget import parse_budget
from search.config import SearchConfig
from search.costs import unmeasurable as untimed
from search.costs.budget_plan import BudgetPlan
from search.costs.cost_tracker import LATENCY_TABLE_PASSES, CostTracker, patience
from search.costs.forecast import Forecast
from search.costs.probe_strategies import probes
from search.costs.table_precision import is_precise
from search.study.measurements import Measurements
from search.study.required import require_success
from search.study.study import Study
from search.surrogate.surrogate import MIN_EVALUATIONS
from search.workers.executor import LATE, Executor
from search.workers.messages import CallTimes, CountMacsRequest, TimeCallsRequest
from strategies import SearchSpace, Strategy, StrategyError


class DeviceMeasurement:
    """Measurements of a run's device before anything is evaluated, noted in its study.

    Args:
        study: log of the run; what it has is not measured again.
        executor: workers.
        space: strategies that may be proposed.
        unaccelerated: the unaccelerated pipeline as a strategy.
        typical: strategies whose latencies the table has to predict well.
        share: share of a schedule's calls that a run makes; see `ModelConfig.share`.
        timeout: seconds after which a request is given up; None decides by what is expected.
        folder: folder of the run.
        say: status callback.
    """

    def __init__(
        self,
        study: Study,
        executor: Executor,
        space: SearchSpace,
        unaccelerated: Strategy,
        typical: Sequence[Strategy],
        share: float,
        timeout: float | None,
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._measured, self._executor, self._space = Measurements(study), executor, space
        self._unaccelerated, self._typical = unaccelerated, list(typical)
        self._share, self._timeout = share, timeout
        self._folder, self._say = folder, say

    def open_workers(self) -> None:
        """Start the workers, and check that their device is the one that the latencies belong to.

        Raises:
            StrategyError: the workers are on another kind of device.
        """
        self._say("starting workers")
        self._executor.report = self._say
        device, former = self._executor.open(), self._measured.device
        if former is None:
            self._measured.keep_device(device)
        elif former != device:
            raise StrategyError(
                f"the run's latencies are of {former!r}, and the workers are on {device!r}; "
                f"continue there, or start a new run here with --warm-start {self._folder}"
            )

    def latency_table(self) -> LatencyTable:
        """The latency table; if the study has none, it is measured in turns until it is stable."""
        table, device = self._measured.latency_table, self._measured.device
        if table is None:
            assert device is not None
            turns: list[CallTimes] = []
            seconds, limit = 0.0, self._timeout
            sound: untimed.MeasurableParts | None = None
            while len(turns) < LATENCY_TABLE_PASSES and not self._stands(turns, sound):
                turn = len(turns)
                self._say(f"measuring latency, turn {turn + 1} of at most {LATENCY_TABLE_PASSES}")
                asked = replace(self.table_turn(turn, sound), time_limit=limit)
                outcome = self._executor.run_exclusive(asked)
                seconds += outcome.seconds
                if outcome.value is not None:
                    limit = self._timeout or patience(outcome.seconds)
                    turns.append(outcome.value)
                elif sound is not None or outcome.error.startswith(LATE):
                    require_success(outcome, self._folder, "measuring the latency table")
                else:
                    self._say(f"a turn of the latency table failed: {outcome.error}")
                    sound, turns = self._sound_calls(), []
                    seconds += sound.seconds
            table = make_table(
                [turn.kinds for turn in turns],
                [turn.around for turn in turns],
                device,
                self._share,
            )
            failed = {} if sound is None else sound.failed
            if failed:
                table = _filled(table, failed, self._space.solvers)
            self._measured.keep_latency_table(table, failed, seconds)
        return table

    def _stands(self, turns: Sequence[CallTimes], sound: untimed.MeasurableParts | None) -> bool:
        """Whether further turns would hardly change the latencies that the table predicts."""
        failed = {} if sound is None else sound.failed
        # What only makes fewer steps has a share that hardly depends on the table.
        typical = [
            one
            for one in self._typical
            if one.methods and not one.is_adaptive and not untimed.why(failed, one)
        ]
        return is_precise(
            [turn.kinds for turn in turns], [turn.around for turn in turns], self._unaccelerated,
            typical or [self._unaccelerated], self._share,
        )  # fmt: skip

    def table_turn(
        self, turn: int, sound: untimed.MeasurableParts | None = None
    ) -> TimeCallsRequest:
        """Request to time every kind of call once, in an order of this turn's own.

        Args:
            turn: number of the turn.
            sound: parts that can be timed; None if all can.
        """
        solvers, rows = tuple(self._space.solvers), probes(self._space, turn)
        if sound is not None:
            order = np.random.default_rng(turn).permutation(len(sound.probes))
            rows, solvers = [sound.probes[index] for index in order], tuple(sound.solvers)
        return TimeCallsRequest(key=f"table-{turn}", strategies=tuple(rows), solvers=solvers)

    def multiply_accumulates(self) -> dict[str, float]:
        """Multiply-accumulates by kind of call, counted if the study has none."""
        counted = self._measured.macs
        if counted is None:
            self._say("counting multiply-accumulates")
            outcome = self._executor.run_exclusive(self._count("macs", probes(self._space, 0)))
            counted, seconds, failed = outcome.value, outcome.seconds, dict[str, str]()
            if counted is None:
                sound = self._sound_macs()
                outcome = self._executor.run_exclusive(self._count("macs", sound.probes))
                sure = require_success(outcome, self._folder, "counting multiply-accumulates")
                seconds += sound.seconds + outcome.seconds
                counted, failed = sure | dict.fromkeys(sound.failed, sure[""]), sound.failed
            self._measured.keep_macs(counted, failed, seconds)
        return counted

    def _count(self, key: str, rows: Sequence[Strategy]) -> CountMacsRequest:
        return CountMacsRequest(key=key, time_limit=self._timeout, strategies=tuple(rows))

    def _sound_calls(self) -> untimed.MeasurableParts:
        """Parts that can be timed, found out for each strategy and each solver by itself."""

        def one(name: str, strategies: tuple[Strategy, ...], *solvers: str) -> TimeCallsRequest:
            return TimeCallsRequest(
                key=f"table_turn-{name}", time_limit=self._timeout, strategies=strategies,
                solvers=solvers,
            )  # fmt: skip

        return untimed.find_unmeasurable(
            lambda name, strategy: one(name, (strategy,)), self._executor, self._space,
            self._unaccelerated, self._say, lambda solver: one(solver, (), solver),
        )  # fmt: skip

    def _sound_macs(self) -> untimed.MeasurableParts:
        """Parts whose work can be counted, found out for each strategy by itself."""
        return untimed.find_unmeasurable(
            lambda name, strategy: self._count(f"macs-{name}", [strategy]), self._executor,
            self._space, self._unaccelerated, self._say,
        )  # fmt: skip


def _filled(
    table: LatencyTable, failed: Mapping[str, str], solvers: Collection[str]
) -> LatencyTable:
    """The table with stand-ins for what could not be timed; nothing feasible reads them.

    Proposals are ordered by latency before they are checked for feasibility.
    """
    kinds = {kind: table.kinds[""] for kind in failed if kind not in solvers}
    share = max(table.solver.values())
    around = {solver: share for solver in failed if solver in solvers}
    return table.model_copy(
        update={"kinds": table.kinds | kinds, "solver": table.solver | around}
    )  # fmt: skip


def make_plan(study: Study, accounts: CostTracker, forecast: Forecast) -> BudgetPlan:
    """Plan of the budget. It bounds the final scoring, and says when the proposer breeds.

    A resumed run breeds from the proposal on that it was begun with.

    Args:
        study: log of the run.
        accounts: spent and predicted device time, which takes the bound.
        forecast: forecast of what the budget suffices for.
    """
    found = forecast.plan()
    measured = Measurements(study)
    former = measured.first_bred
    if former is None:
        former = MIN_EVALUATIONS if study.evaluations else found.start
        measured.keep_first_bred(former)
    forecast.generation.first = former
    accounts.final_scoring_limit = found.scoring
    return found


def make_tracker(config: SearchConfig, study: Study, plain: float, owed: int) -> CostTracker:
    """Cost tracker of a search, which begins with the cost of a batch or of unaccelerated images.

    Args:
        config: settings of the search.
        study: log of the run.
        plain: latency of the unaccelerated pipeline, in seconds.
        owed: number of unaccelerated images that the final scoring has yet to generate.
    """
    budget = parse_budget(config.budget)
    made = CostTracker(
        budget, study, config.ladder, config.heldout_images, config.export, plain, config.timeout,
        config.processes_per_worker,
    )  # fmt: skip
    measured = Measurements(study)
    batch = measured.batch_cost
    if batch is None:
        drawn, seconds = measured.unaccelerated("search")
        made.record(plain, drawn or config.images, seconds)
    else:
        made.record(batch.latency, batch.images, batch.seconds)
    made.missing_unaccelerated_images = owed
    return made
