"""Ablation: the named strategies are scored again without each of their methods.

Of the knee and of the fastest strategy without a loss every method is taken out in turn. What is
left is scored on the finalists' held-out prompts. Its latency is the table's, as is that of the
whole strategy which it is held against. Each answer is noted in the study, and none is paid for
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from evaluate.extraction import ExtractedFeatures
from evaluate.statistics.gaussian import ScoreError
from search.config import SearchConfig
from search.costs.cost_model import CostModel
from search.costs.cost_tracker import CostTracker
from search.finalists.heldout_scorer import Comparison, comparison
from search.images.unaccelerated import UnacceleratedImages
from search.results.finalist import Finalist
from search.results.removals import Removal, compared_images, removals
from search.results.run import Run
from search.study import score_checks
from search.study.finalist_notes import AblationScores, FinalistNotes
from search.study.study import Study
from search.workers.executor import Executor
from search.workers.messages import Response, SampleRequest
from strategies import Strategy

SHARE = 0.05  # Of a budget of device time, at most, at the end of a search.


def spare(accounts: CostTracker, scored: float) -> float:
    """Seconds that a search may spend on this at its end; a budget of evaluations has none.

    Args:
        accounts: spent and predicted device time.
        scored: seconds that the final scoring has taken, of which this is a part.
    """
    seconds = accounts.budget.seconds
    if seconds is None:
        return 0.0
    return max(
        0.0, min(accounts.remaining(), accounts.final_scoring_limit - scored, SHARE * seconds)
    )


class Ablation:
    """Scores of the named strategies without each of their methods.

    Args:
        config: settings of the search.
        folder: folder of the run.
        study: log of the run; what it has is not scored again.
        executor: workers.
        unaccelerated: the unaccelerated images; makes requests for others.
        costs: latency and other costs of a strategy.
        measure: measures a strategy that no table can have; returns why it cannot, or an empty
            text.
        accounts: spent and predicted device time.
        say: status callback.
    """

    def __init__(
        self,
        config: SearchConfig,
        folder: Path,
        study: Study,
        executor: Executor,
        unaccelerated: UnacceleratedImages,
        costs: CostModel,
        measure: Callable[[Strategy, float], str],
        accounts: CostTracker,
        say: Callable[[str], None],
    ) -> None:
        self._config, self._folder, self._study = config, folder, study
        self._notes = FinalistNotes(study)
        self._executor, self._unaccelerated = executor, unaccelerated
        self._costs, self._accounts, self._say = costs, accounts, say
        self._measure = measure

    def run(self, finals: Sequence[Finalist], seconds: float) -> list[Removal]:
        """Draw and score what is not known yet, as far as `seconds` of device time go.

        Args:
            finals: finalists of the search, finished or about to be exported.
            seconds: device time that it may take.

        Returns:
            All removals; of those that there was no room for nothing is known.
        """
        run = Run(self._folder, self._config, self._study, finals)
        waiting = {
            one.left.digest: one.left for one in removals(run) if not one.drawn and not one.error
        }
        if not waiting:
            return removals(run)
        for digest, one in list(waiting.items()):
            both = self._costs.latency(one) + self._accounts.unaccelerated_latency
            error = self._measure(one, both)
            if error:
                found = AblationScores(compared_images(run), error=error)
                self._notes.keep_removed(digest, found, 0.0)
                del waiting[digest]
        against = comparison(self._unaccelerated, compared_images(run))
        for request, outcome in self._executor.run_all(
            self._wanted(waiting, compared_images(run), seconds)
        ):
            self._note(waiting[request.key], outcome, against)
        return removals(run)

    def _wanted(
        self, waiting: Mapping[str, Strategy], count: int, seconds: float
    ) -> Iterator[SampleRequest]:
        """Requests for `count` images of each strategy, as far as the time goes."""
        left = seconds
        for number, (digest, strategy) in enumerate(waiting.items()):
            latency = self._costs.latency(strategy)
            cost = self._accounts.predict_generation(latency, count)
            if cost > left:
                continue
            left -= cost
            self._say(f"scoring strategies without a method, {len(waiting) - number} to go")
            limit = self._accounts.time_limit(latency, count)
            yield self._unaccelerated.generation_request(
                digest, strategy, "heldout", count, limit=limit
            )

    def _note(
        self, strategy: Strategy, outcome: Response[ExtractedFeatures], against: Comparison
    ) -> None:
        count = against.base.count
        found = AblationScores(count, error=outcome.error)
        if outcome.value is not None:
            pair = outcome.value, against.base
            try:
                scores = score_checks.scores(against.scoring, *pair) | self._costs.of(strategy)
                intervals = score_checks.checked_intervals(against.scoring, *pair)
                found = AblationScores(count, scores, intervals)
            except ScoreError as broken:
                found = AblationScores(count, error=str(broken))
        self._notes.keep_removed(strategy.digest, found, outcome.seconds)
