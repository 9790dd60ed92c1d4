"""Strategies whose calls depend on the images: timed as a whole, once, and never by the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from search import cli
from search.costs import whole_generations
from search.engine.search import Search
from search.results.finalist import Finalist
from search.study.evaluation import Evaluation
from search.study.measurements import Measurements
from search.study.storage.journal import drop_torn_tail
from search.study.study import Study
from search.workers.messages import CountMacsRequest, EndToEndRequest
from strategies import Strategy
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import FailedError, FakeExecutor, latency

PARALLEL: dict[str, Any] = {
    "space": "unet-parallel",
    "steps": [4, 8, 12],
    "images": 8,
    "heldout_images": 8,
    "export": 3,
    "budget": "40evals",
}
FASTER = 0.4  # Latency of a strategy with windows, as a share of its calls one by one.


class Batched(FakeExecutor):
    """Workers that are faster with windows, and remember what they timed as a whole."""

    def __init__(self, fails: int = 0) -> None:
        super().__init__(slots=1)
        self.timed: list[str] = []
        self.refused = fails

    def time_end_to_end(self, request: EndToEndRequest) -> list[float]:
        if request.key.startswith("whole-"):
            plain, one = request.strategies
            assert plain.digest != one.digest
            self.timed.append(one.digest)
            if window(one) == self.refused:
                raise FailedError("out of memory")
        return [seconds(one) for one in request.strategies]


def seconds(strategy: Strategy) -> float:
    if not strategy.is_adaptive:
        return latency(strategy)
    return FASTER * latency(strategy.model_copy(update={"methods": {}}))


def window(strategy: Strategy) -> int:
    found: int = getattr(strategy.canonical().methods.get("paradigms"), "window", 1)
    return found


def searched(folder: Path, executor: FakeExecutor, **flags: Any) -> Search:
    engine = make_engine(folder, executor, **(PARALLEL | flags))
    engine.prepare()
    engine.evaluate()
    return engine


def rows(engine: Search) -> list[Evaluation]:
    return [row for row in engine.study.evaluations if row.strategy.is_adaptive]


def test_they_are_timed_once_by_turns_with_the_unaccelerated_pipeline(tmp_path: Path) -> None:
    executor = Batched()
    engine = searched(tmp_path, executor)
    found, costs = rows(engine), engine.prepared.costs
    assert {window(row.strategy) for row in found} == {2, 4, 8}
    assert {*executor.timed} == {row.strategy.digest for row in found}
    assert all(executor.timed.count(digest) == whole_generations.TURNS for digest in executor.timed)
    plain = costs.latency(engine.unaccelerated)
    for row in found:
        ratio = seconds(row.strategy) / latency(engine.unaccelerated)
        assert row.scores["latency_s"] == pytest.approx(ratio * plain)
        assert row.scores["speedup"] == pytest.approx(1 / ratio)
        assert costs.tabulated(row.strategy) > row.scores["latency_s"]
    table = Measurements(engine.study).latency_table
    assert table is not None
    assert not any("paradigms" in kind for kind in table.kinds)


def test_one_that_cannot_be_timed_fails_alone(tmp_path: Path) -> None:
    found = rows(searched(tmp_path, Batched(fails=8)))
    errors = {row.error for row in found if window(row.strategy) == 8}
    assert errors == {"it could not be timed: out of memory"}
    assert all(row.succeeded for row in found if window(row.strategy) != 8)


def test_resume_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", Batched())
    executor = Batched()
    executor.stop_after = 14
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "cut", executor)
    drop_torn_tail(tmp_path / "cut" / "study.journal")
    again = Batched()
    resumed = searched(tmp_path / "cut", again)
    assert [row.strategy.digest for row in resumed.study.evaluations] == [
        row.strategy.digest for row in whole.study.evaluations
    ]
    assert not {*executor.timed} & {*again.timed}


def test_the_forecast_has_the_time_of_timing_them(tmp_path: Path) -> None:
    one = make_engine(tmp_path / "one", Batched(), **PARALLEL).predict()
    plain = {**PARALLEL, "space": "unet-guided", "schedulers": ["DDIMScheduler"]}
    two = make_engine(tmp_path / "two", Batched(), **plain).predict()
    assert one.search / sum(one.evaluations.values()) > two.search / sum(two.evaluations.values())


def test_their_multiply_accumulates_are_counted(tmp_path: Path) -> None:
    asked = ["fd_base", "latency", "macs"]
    engine = searched(tmp_path, Batched(), objectives=asked)
    found = rows(engine)
    assert found
    for row in found:
        counted = engine.executor.count_macs(  # type: ignore[attr-defined]
            CountMacsRequest(key="again", time_limit=1.0, strategies=(row.strategy,))
        )
        assert row.scores["macs"] == sum(counted[kind] for kind in row.strategy.kinds())
    again = Measurements(Study(tmp_path / "study.journal"))
    for row in found:
        known = again.whole_generation(row.strategy.digest)
        assert known is not None
        assert known.macs == row.scores["macs"]


def test_what_windows_are_worth_is_measured_too(tmp_path: Path) -> None:
    """A removal that leaves `paradigms` is timed as a whole; one that leaves nothing is not."""
    executor = Batched()
    engine = make_engine(tmp_path, executor, **PARALLEL, methods=["paradigms", "tome"])
    engine.config.write(tmp_path / "config.yaml")
    engine.prepare()
    engine.evaluate()
    plain = engine.finish().finals[0]
    together = engine.space.uniform("DDIMScheduler", 8).to_json()
    together["methods"] = {"paradigms": {"window": 4}, "tome": {"ratio": 0.5}}
    strategy = Strategy.create(**together)
    losses = engine.prepared.objectives.losses(plain.scores)
    one = Finalist(
        "front", "nsga2", strategy, plain.scores, plain.intervals, losses, images=plain.images
    )
    executor.timed.clear()
    found = {row.method: row for row in engine.ablation().run([plain, one], 1e9)}
    assert {*found} == {"paradigms", "tome"}
    assert {*executor.timed} == {found["tome"].left.digest}
    known = Measurements(engine.study).whole_generation(found["tome"].left.digest)
    assert known is not None
    assert found["tome"].scores["speedup"] == pytest.approx(1 / known.ratio)
    assert all(row.drawn for row in found.values())


@pytest.mark.slow
@pytest.mark.usefixtures("few_turns")
def test_a_real_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tiny-sd with windows alone: the table of the front has the latencies that were measured."""
    monkeypatch.setattr(whole_generations, "MOST", whole_generations.TURNS)
    run = tmp_path / "run"
    given = ["--methods", "paradigms", "--schedulers", "DDIM", "--steps", "4", "--workers", "0"]
    given += ["--base-steps", "4", "--images", "2", "--rungs", "2", "--heldout-images", "2"]
    given += ["--objective", "psnr", "--objective", "latency", "--budget", "4evals"]
    assert cli.main([*given, "--export", "2", "--out", str(run)]) == 0
    study = Study(run / "study.journal")
    timed = [row for row in study.evaluations if row.strategy.is_adaptive]
    assert len(timed) > 1
    assert all(row.succeeded for row in timed)
    measured = Measurements(study)
    ratios = {row.strategy.digest: measured.whole_generation(row.strategy.digest) for row in timed}
    for row in timed:
        known = ratios[row.strategy.digest]
        assert known is not None
        assert row.scores["speedup"] == pytest.approx(1 / known.ratio)
    table = pd.read_csv(run / "front.csv")
    shown = {digest[:12] for digest in ratios} & {*table["digest"]}
    assert shown
    assert (table[table["digest"].isin(shown)]["latency_s"] > 0).all()
