"""Final scoring: finalists are scored on held-out prompts and timed end to end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from search.config import SearchConfig
from search.costs.cost_model import CostModel
from search.costs.cost_tracker import CostTracker
from search.errors import SearchError
from search.finalists import lossless_probability
from search.finalists.choice import FinalistChoice
from search.finalists.end_to_end import EndToEnd
from search.finalists.full_set import full_set
from search.finalists.heldout_images import HeldoutImages
from search.finalists.heldout_scorer import HeldoutScorer, comparison
from search.finalists.no_loss import NoLoss
from search.finalists.race import Race
from search.finalists.standings import Standings, sets_of_prompts
from search.images.shipped_samples import ShippedSamples
from search.images.unaccelerated import UnacceleratedImages
from search.objectives.objectives import Objectives
from search.results.finalist import Finalist
from search.study import failures, score_checks
from search.study.evaluation import Evaluation
from search.study.finalist_notes import Times
from search.study.study import Study
from search.tracking.events import EventBus
from search.workers.executor import Executor
from strategies import Strategy


@dataclass(frozen=True)
class FinalResult:
    """Result of the final scoring.

    Attributes:
        finals: finalists with their scores, the unaccelerated pipeline first.
        unscored: finalists that the budget had no room for.
    """

    finals: list[Finalist]
    unscored: int


@dataclass(frozen=True)
class Raced:
    """The finalists after a race.

    Attributes:
        standings: the finalists, their scores on held-out prompts among them.
        full: images of the full set.
        baselines: digests of those that are baselines.
        good: those that were scored and timed.
        times: seconds end to end, by digest.
    """

    standings: Standings
    full: int
    baselines: Collection[str]
    good: list[Evaluation]
    times: Mapping[str, Times]


class FinalScoring:
    """The final scoring of one search.

    Args:
        config: settings of the search.
        folder: folder of the run.
        study: log of the run; what it has is neither scored nor timed again.
        executor: workers.
        images: the unaccelerated images; makes requests for others.
        choice: chooses the finalists.
        objectives: objectives and constraints of the search.
        costs: latency and other costs of a strategy.
        accounts: spent and predicted device time.
        shipped: samples of baselines that need no drawing, if there are any.
        events: told of every finalist that is scored.
        say: status callback.
    """

    def __init__(
        self,
        config: SearchConfig,
        folder: Path,
        study: Study,
        executor: Executor,
        images: UnacceleratedImages,
        choice: FinalistChoice,
        objectives: Objectives,
        costs: CostModel,
        accounts: CostTracker,
        shipped: ShippedSamples | None,
        events: EventBus,
        say: Callable[[str], None],
    ) -> None:
        self._config, self._folder, self._study = config, folder, study
        self._executor, self._images, self._choice = executor, images, choice
        self._objectives = objectives
        self._costs, self._accounts, self._shipped, self._say = costs, accounts, shipped, say
        self._scorer = HeldoutScorer(study, objectives, events)
        self._timing = EndToEnd(study, executor, costs, accounts, folder, say)

    def run(self) -> FinalResult:
        """Score the finalists on held-out prompts and time them end to end.

        They race on growing sets of prompts, see `search.finalists.race`. Where the budget has no
        room for all, the least valuable are left out. A finalist that fails makes room for the next
        one of the front.

        Raises:
            SearchError: no finalist could be scored, or no candidate of the search.
        """
        failures.see_that_any_succeeded(self._study, self._folder)
        failures.forget_if_all(self._study)
        ceiling = self._study.spent + min(
            self._accounts.remaining(), self._accounts.final_scoring_limit
        )
        while (raced := self._raced(ceiling)) is None:
            pass
        standings = raced.standings
        held = {digest: standings.held(digest) for digest in standings.rows}
        unscored = sum(
            not one.by_images and not one.error and standings.rows[digest].images > 0
            for digest, one in held.items()
        )
        return FinalResult(self._finals(raced), unscored)

    def _raced(self, ceiling: float) -> Raced | None:
        """The finalists after a race; None where some failed, and others take their places.

        Args:
            ceiling: seconds of the study after which nothing more is drawn.
        """
        failed = failures.finalists(self._study)
        rows, baselines = self._choice.by_digest(failed)
        standings, full = self._race(rows, baselines, ceiling)
        good = [row for digest, row in standings.rows.items() if standings.held(digest).by_images]
        if self._is_replaced(failed, good):
            return None
        failed = failures.finalists(self._study)
        times = self._timing.measure([(row.strategy, row.origin) for row in good])
        good = [row for row in good if row.strategy.digest in times]
        if self._is_replaced(failed, good):
            return None
        return Raced(standings, full, baselines, good, times)

    def _is_replaced(self, before: Collection[str], good: Collection[Evaluation]) -> bool:
        """Whether further finalists take the places of those that have failed since.

        Args:
            before: digests of those that had failed before.
            good: those that have not failed.

        Raises:
            SearchError: all have failed, and there are no others.
        """
        failed = failures.finalists(self._study)
        most = 2 * self._config.export + 1 if good else failures.ROW
        if failed != before and len(failed) < most:
            return True
        if failed and not good:
            raise SearchError(failures.none_left(self._study, self._folder))
        return False

    def _race(
        self, rows: Mapping[str, Evaluation], baselines: Collection[str], ceiling: float
    ) -> tuple[Standings, int]:
        """Let finalists race; returns where they stand, and the images of the full set."""
        config, margins = self._config, self._config.all_margins
        sets = sets_of_prompts(self._study, config.heldout_images)
        drawing = HeldoutImages(
            self._images, self._study, self._folder, config.metric_set.reading, self._costs,
            self._accounts, self._shipped, sets[0],
        )  # fmt: skip
        standings = Standings(
            rows, baselines, sets, ceiling, self._study, self._objectives, self._costs,
            self._accounts, self._images, drawing,
        )  # fmt: skip
        generated = set(baselines) - (self._shipped.digests if self._shipped else set())
        needed = lossless_probability.images_to_pass(margins)
        full = full_set(self._study, standings, needed, generated)
        no_loss = NoLoss(
            standings, full, margins, config.export, self._study, self._objectives.names,
            self._costs, self._accounts, self._executor,
        )  # fmt: skip
        Race(
            standings, no_loss, drawing, self._scorer, self._images, self._executor,
            self._accounts, self._say,
        ).run()  # fmt: skip
        return standings, full

    def _finals(self, raced: Raced) -> list[Finalist]:
        """The finalists with their scores, all on the images that the front is compared on."""
        standings, times = raced.standings, raced.times
        common = standings.common or standings.levels[0]
        against = comparison(self._images, common)
        plain = score_checks.unaccelerated_scores(against.scoring, against.base)
        first = self._final(self._costs.unaccelerated, "", "unaccelerated", plain, {}, times)
        first = replace(first, images=common, judged=common, full=raced.full)
        objectives = self._objectives.compared_with(first.scores)
        finals = [_with_objectives(first, objectives)]
        for row in raced.good:
            digest, held = row.strategy.digest, standings.held(row.strategy.digest)
            role = "baseline" if digest in raced.baselines else "front"
            images = common if common in held.by_images else held.images
            mine, last = held.by_images[images], held.by_images[held.images]
            final = self._final(row.strategy, row.origin, role, mine.scores, mine.intervals, times)
            changes = {k: v for k, v in last.intervals.items() if k.endswith("_change")}
            final = replace(
                final, images=images, changes=changes, judged=held.images, full=raced.full
            )
            finals.append(_with_objectives(final, objectives))
        return finals

    def _final(
        self,
        strategy: Strategy,
        origin: str,
        role: str,
        scores: dict[str, float],
        intervals: dict[str, list[float]],
        times: Mapping[str, Times],
    ) -> Finalist:
        mine, plain = times[strategy.digest]
        latency, costs = float(np.median(mine)), self._costs.of(strategy)
        timed = {
            "latency_s": latency,
            "latency_table_s": costs["latency_s"],
            "latency_spread_s": float(np.subtract(*np.quantile(mine, [0.75, 0.25])) / 2),
            "speedup": float(np.median(plain)) / latency,
        }
        counted = {name: value for name, value in costs.items() if name == "macs"}
        return Finalist(role, origin, strategy, scores | timed | counted, intervals)


def _with_objectives(final: Finalist, objectives: Objectives) -> Finalist:
    losses, violation = objectives.losses(final.scores), objectives.violation(final.scores)
    return replace(final, objectives=losses, violation=violation)
