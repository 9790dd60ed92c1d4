"""Strategies that are no finalists, tried where the finalists have shown a loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evaluate.extraction import ExtractedFeatures
from search.engine.search import Search
from search.results.run import Run
from search.study.evaluation import Evaluation, comparable, is_baseline_evaluation
from search.workers.messages import SampleRequest
from tests.search.costs.test_budget import Paid
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import damage


class Strict(Paid):
    """What is far off shows wrong objects on a tenth of its held-out images.

    Attributes:
        limit: largest damage without a wrong object.
    """

    limit = 0.0

    def sample(self, request: SampleRequest) -> ExtractedFeatures:
        sample = super().sample(request)
        if request.split == "heldout" and damage(request.strategy) > self.limit:
            wrong = np.arange(request.start, request.stop) % 10 == 0
            sample.features["judge"][wrong] = 0.0
        return sample


def passed_over(engine: Search) -> Evaluation:
    """The fastest strategy that is no finalist, and faster than all that are no worse.

    Some finalists are worse, so that these show a loss where it shows none.
    """
    best, baselines = engine.choice().best()
    chosen = {row.strategy.digest for row in best}
    speed = {
        row.strategy.digest: engine.prepared.costs.of(row.strategy)["speedup"]
        for row in (*comparable(engine.study.evaluations), *baselines)
    }

    def better(one: Evaluation, other: Evaluation) -> bool:
        return (
            damage(one.strategy) <= damage(other.strategy)
            and speed[one.strategy.digest] >= speed[other.strategy.digest]
        )

    found = [
        row
        for row in comparable(engine.study.evaluations)
        if row.feasible
        and row.strategy.digest not in chosen
        and not is_baseline_evaluation(row)
        and not any(better(one, row) for one in (*best, *baselines))
        and any(damage(one.strategy) > damage(row.strategy) for one in best)
    ]
    return max(found, key=lambda row: speed[row.strategy.digest])


def test_other_strategies_are_tried_where_finalists_have_shown_a_loss(tmp_path: Path) -> None:
    few = {"surrogate": False, "heldout_images": 384, "export": 3}
    executor = Strict()
    engine = make_engine(tmp_path, executor, budget="1000s", **few)
    engine.prepare()
    engine.evaluate()
    executor.limit = damage(passed_over(engine).strategy)
    chosen = {row.strategy.digest for row in engine.choice().best()[0]}
    finals = engine.finish().finals
    run = Run(engine.folder, engine.config, engine.study, finals)
    took = [one for one in finals if one.role == "front" and one.strategy.digest not in chosen]
    assert took
    assert len(took) <= 2 * 3 * 3
    answers = {one.strategy.digest: run.verdict(one) for one in took}
    assert any(verdict is not None and verdict.answer == "yes" for verdict in answers.values())
