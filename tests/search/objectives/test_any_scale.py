"""Objectives on any scale count: the worst point follows from what is measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluate.extraction import ExtractedFeatures
from evaluate.metrics import METRICS
from evaluate.metrics.shared import paired
from search import config
from search.engine.search import Search
from search.finalists.choice import select_subset_of
from search.objectives import objectives
from search.pareto import hypervolume
from search.results import run as runs
from search.study.archive import ParetoArchive
from search.study.evaluation import Evaluation
from search.study.measurements import Measurements
from search.study.reference_point import FIRST, worst
from search.workers.messages import SampleRequest
from tests.support.runs.engines import go, make_engine, raced
from tests.support.runs.fake_executor import FakeExecutor, damage

OBJECTIVES = ["mae", "latency_s"]


class Erring(FakeExecutor):
    """Fakes with a figure of one's own, an error in units of any size."""

    def __init__(self, scale: float, offset: float = 0.0) -> None:
        super().__init__(slots=1)
        self.scale, self.offset = scale, offset

    def sample(self, request: SampleRequest) -> ExtractedFeatures:
        sample = super().sample(request)
        base = self.offset if "baseline" in request.key else 0.0
        error = 0.0 if "baseline" in request.key else damage(request.strategy)
        values = np.full(sample.count, base + self.scale * error)
        return replace(sample, paired=sample.paired | {"mae": values})


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    def error(image: Any, base: Any) -> float:
        return float(np.abs(image.astype(float) - base).mean())

    metric = paired.make("mae", "mean error", "lower", None, lambda _: error, "", "{:.2f}")
    monkeypatch.setitem(METRICS, "mae", metric)


def searched(folder: Path, scale: float, **flags: Any) -> tuple[Search, dict[str, Any]]:
    given = {"objectives": OBJECTIVES, "budget": "45evals"} | flags
    engine = make_engine(folder, Erring(scale), **given)
    return engine, raced(engine)


def test_a_figure_counts_alike_in_whatever_unit_it_is(own: None, tmp_path: Path) -> None:
    found = {}
    for scale in (2.0**-20, 1.0, 2.0**20):
        engine, summary = searched(tmp_path / str(scale), scale, budget="30evals")
        rows = [e.strategy.digest for e in engine.study.evaluations]
        front = [point.strategy.digest for point in runs.Run(
            engine.folder, engine.config, engine.study).front()]  # fmt: skip
        found[scale] = rows, front, summary["hypervolume"]
        assert summary["hypervolume_together"] >= summary["hypervolume"] > 0.1
    tiny, one, huge = found.values()
    assert tiny[:2] == one[:2] == huge[:2]
    assert tiny[2] == pytest.approx(one[2]) == pytest.approx(huge[2])


def test_progress_and_the_choice_of_finalists_see_errors_above_one(
    own: None, tmp_path: Path
) -> None:
    engine, _ = searched(tmp_path, 1000.0)
    point = Measurements(engine.study).reference_point
    assert point == engine.reference
    assert ParetoArchive().read(engine.study.evaluations).hypervolume(point) > 0.1
    good = [e for e in engine.study.evaluations if e.feasible]
    chosen = select_subset_of(good, engine.reference, 5)
    volumes = [
        hypervolume(np.array([e.objectives for e in chosen[:n]]), engine.reference)
        for n in range(1, 6)
    ]
    assert volumes == sorted(set(volumes))  # Each adds something.


def test_the_point_is_the_same_after_a_kill_and_for_whoever_reads_the_run(
    own: None, tmp_path: Path
) -> None:
    whole, _ = searched(tmp_path / "whole", 300.0)
    for cut in (12, 40):
        executor = Erring(300.0)
        executor.stop_after = cut
        folder = tmp_path / f"cut-{cut}"
        given = {"objectives": OBJECTIVES, "budget": "45evals"}
        with pytest.raises(KeyboardInterrupt):
            go(make_engine(folder, executor, **given))
        engine, _ = searched(folder, 300.0)
        assert engine.reference == whole.reference
        mine, theirs = ([e.genome for e in one.study.evaluations] for one in (engine, whole))
        assert mine == theirs


def test_a_run_of_an_earlier_version_goes_on(own: None, tmp_path: Path) -> None:
    engine, _ = searched(tmp_path, 0.5, budget="40evals")
    engine.study.note("reference", [1.0, engine.prepared.objectives.reference_point[1]])
    engine.study.note("unscaled", None)
    assert Measurements(engine.study).reference_point == (
        1.0,
        engine.prepared.objectives.reference_point[1],
    )
    again, summary = searched(tmp_path, 0.5)
    assert summary["evaluations"] == 45
    assert (
        Measurements(again.study).reference_point
        == again.reference
        != (1.0, engine.prepared.objectives.reference_point[1])
    )


def row(number: int, loss: float) -> Evaluation:
    strategy: Any = None
    return Evaluation(number, "x", (), strategy, {}, "", 0.0, (loss, 0.5), 0.0, 8)


@pytest.mark.parametrize(
    ("known", "losses", "expected"),
    [
        (0.0, [5.0] * 10, 5.5),  # All are alike, and all count.
        (99.0, [40.0, 60.0], 99.0),  # A loss of everything is the worst.
        (0.2, [1.5] * 10, 1.65),  # A score around nothing may lose more than it had.
        (0.0, [*range(1, 10), 1e9], 9.9),  # One that went wild hides none of the others.
        (0.0, [-3.0, -1.0], 3.0),  # All are better than the unaccelerated images.
        (0.0, [0.0, 0.0], 1.0),
        (0.0, [], 1.0),
        (4.0, [], 4.0),
    ],
)
def test_the_worst_point(known: float, losses: list[float], expected: float) -> None:
    rows = [row(number, loss) for number, loss in enumerate(losses)]
    assert worst((known, 2.0), (True, False), rows) == pytest.approx((expected, 2.0))
    assert worst((known, 2.0), (False, False), rows) == (known, 2.0)


def test_the_point_stands_after_the_first_evaluations_in_whatever_order_they_finish() -> None:
    rng = np.random.default_rng(0)
    rows = [row(number, float(loss)) for number, loss in enumerate(rng.lognormal(size=FIRST))]
    later = [row(FIRST + number, 1e6) for number in range(50)]
    expected = worst((0.0, 2.0), (True, False), rows)
    shuffled = [rows[index] for index in rng.permutation(FIRST)]
    assert worst((0.0, 2.0), (True, False), [*later, *shuffled]) == expected


def test_which_figures_have_a_scale_of_their_own() -> None:
    base = {"fd_base": 0.0, "fd_real": 4.0, "latency_s": 2.0, "psnr": 99.0, "image_reward": -0.2}
    base |= {"feature_error_base": 0.0, "macs": 5.0}
    names = ("fd_base", "fd_real", "image_reward", "feature_error_base", "latency_s", "macs")
    found = objectives.Objectives.create(names, {}, base)
    assert found.reference_point == (4.0, 4.0, 0.0, 0.0, 2.0, 5.0)
    assert found.unscaled == (False, True, True, True, False, False)


def test_defaults_have_a_scale_so_that_their_hypervolumes_stay(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, budget="10evals")
    summary = go(engine)
    assert engine.prepared.objectives.unscaled == (False, False)
    assert (
        Measurements(engine.study).reference_point
        == engine.prepared.objectives.reference_point
        == engine.reference
    )
    assert json.loads((tmp_path / "summary.json").read_text())["hypervolume"] == pytest.approx(
        summary["hypervolume"]
    )
    assert config.resolve("tiny-sd", {}).objectives == ("fd_base", "latency_s")
