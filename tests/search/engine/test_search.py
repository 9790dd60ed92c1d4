"""The search engine with fake workers: proposals, budget, resume, faults, exports."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import strategies
from search.engine.search import Search
from search.initial.baselines import ORIGINS
from search.pareto import hypervolume, nondominated
from search.results import export
from search.study.storage.journal import drop_torn_tail
from search.study.study import Study
from strategies import StrategyError
from tests.support.runs.engines import go, make_engine
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.light import RENDERED


@dataclass(frozen=True)
class Whole:
    """A run up to its export, with its workers and its summary."""

    engine: Search
    executor: FakeExecutor
    summary: dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    executor = FakeExecutor()
    engine = make_engine(tmp_path_factory.mktemp("whole"), executor)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.results.plots.style.rendered", RENDERED)
        return Whole(engine, executor, go(engine))


def test_a_whole_run(whole: Whole) -> None:
    engine, summary, folder = whole.engine, whole.summary, whole.engine.folder
    assert summary["evaluations"] == 70
    known = {one.digest for _, one in engine.generation.initial}
    beyond = [row for row in engine.study.evaluations if row.strategy.digest not in known]
    assert summary["beyond_seeds"] == len(beyond) > 10
    assert summary["hypervolume_together"] >= summary["hypervolume_baselines"] > 0
    assert summary["hypervolume"] > 0
    files = sorted(p.name for p in (folder / "strategies").iterdir())
    assert {"fastest.json", "knee.json"} <= set(files)
    front = [strategies.load(folder / "strategies" / f) for f in files if f[0].isdigit()]
    speedups = [one.scores["speedup"] for one in front]
    assert speedups == sorted(speedups, reverse=True)
    points = np.array([[one.scores["fd_base"], one.scores["latency_s"]] for one in front])
    assert len(nondominated(points)) == len(points)
    one = front[0]
    assert one.provenance["model"] == "tiny-sd"
    assert one.provenance["dtype"] == "float32"
    assert one.scores["images"] == 16
    assert one.scores["prompts"] == "heldout"
    assert one.baseline["latency_s"] / one.scores["latency_s"] == pytest.approx(
        one.scores["speedup"]
    )
    assert len(pd.read_csv(folder / "trials.csv")) == 70
    table = pd.read_csv(folder / "front.csv")
    assert set(table["role"]) >= {"unaccelerated", "baseline", "front"}
    for name in ("pareto.png", "pareto.svg"):
        assert (folder / name).stat().st_size > 5000


def test_nothing_is_evaluated_twice(whole: Whole) -> None:
    engine, executor = whole.engine, whole.executor
    plain = engine.unaccelerated.digest  # Drawn in parts, by all workers at once.
    assert {n for (digest, _), n in executor.seen.items() if digest != plain} == {1}
    assert executor.seen[plain, "search"] == executor.seen[plain, "heldout"] == executor.slots


def test_the_search_beats_its_seeds_on_the_fake(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, budget="150evals")
    engine.prepare()
    engine.evaluate()

    def volume(rows: list[Any]) -> float:
        return hypervolume(np.array([row.objectives for row in rows]), engine.reference)

    rows = engine.study.evaluations
    assert volume(rows) > volume([row for row in rows if row.origin in ORIGINS]) * 1.01


@pytest.mark.parametrize("cuts", [(52,), pytest.param((1, 5, 60), marks=pytest.mark.slow)])
def test_resume_goes_on_as_if_nothing_had_happened(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    whole = make_engine(tmp_path / "whole", FakeExecutor(slots=1))
    whole.prepare()
    whole.evaluate()
    expected = [row.strategy.digest for row in whole.study.evaluations]
    for cut in cuts:
        folder = tmp_path / f"cut-{cut}"
        executor = FakeExecutor(slots=1)
        executor.stop_after = cut
        engine = make_engine(folder, executor)
        with pytest.raises(KeyboardInterrupt):
            engine.prepare()
            engine.evaluate()
        again = FakeExecutor(slots=1)
        resumed = make_engine(folder, again)
        resumed.prepare()
        resumed.evaluate()
        assert [row.strategy.digest for row in resumed.study.evaluations] == expected
        done = {row.strategy.digest for row in engine.study.evaluations}
        assert not done & {digest for digest, split in again.seen if split == "search"} - {
            engine.unaccelerated.digest
        }


def test_a_torn_log_is_mended(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, FakeExecutor(slots=1), budget="8evals")
    engine.prepare()
    engine.evaluate()
    path = tmp_path / "study.journal"
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    for size in (1, len(lines[-1]) // 2, len(lines[-1]) - 1):
        path.write_bytes(content[: -len(lines[-1])] + lines[-1][:size])
        assert drop_torn_tail(path) == size
        assert path.read_bytes() == b"".join(lines[:-1])
        assert drop_torn_tail(path) == 0
    assert len(Study(path).evaluations) in (7, 8)
    path.write_bytes(lines[0] + b"{rubbish\n" + b"".join(lines[1:]))
    with pytest.raises(StrategyError, match="not a readable study log"):
        Study(path)


def test_failures_are_infeasible_and_never_numbers(tmp_path: Path) -> None:
    other = make_engine(tmp_path / "a")
    other.prepare()
    known = other.generation.initial
    bad = {known[0][1].digest: "out of memory", known[3][1].digest: "made NaN"}
    engine = make_engine(tmp_path / "b", FakeExecutor(fails=bad))
    summary = go(engine)
    assert summary["failed"] == 2
    failed = [row for row in engine.study.evaluations if not row.succeeded]
    assert {row.error for row in failed} == set(bad.values())
    assert all(row.scores == {} for row in failed)
    assert not {row.strategy.digest for row in failed} & {
        strategies.load(p).digest for p in (tmp_path / "b" / "strategies").iterdir()
    }
    again = Study(tmp_path / "b" / "study.journal")
    assert [row.error for row in again.evaluations] == [r.error for r in engine.study.evaluations]


def test_broken_scores_are_failures(tmp_path: Path) -> None:
    class Broken(FakeExecutor):
        def answer(self, request: Any) -> Any:
            outcome = super().answer(request)
            if request.key == "2":
                found: Any = outcome.value
                found.features["bundled"][0, 0] = np.inf
            return outcome

    engine = make_engine(tmp_path, Broken(), budget="6evals")
    engine.prepare()
    engine.evaluate()
    errors = {row.number: row.error for row in engine.study.evaluations}
    assert "NaN or infinity" in errors.pop(2)
    assert set(errors.values()) == {""}


def test_an_interrupted_run_keeps_its_front(tmp_path: Path) -> None:
    executor = FakeExecutor()
    executor.stop_after = 6
    engine = make_engine(tmp_path, executor)
    engine.prepare()
    with pytest.raises(KeyboardInterrupt):
        engine.evaluate()
    size = export.write_unfinished(engine.so_far)
    files = sorted((tmp_path / "strategies").glob("unfinished-*.json"))
    assert len(files) == size > 0
    assert strategies.load(files[0]).scores["prompts"] == "search"


def test_the_time_budget_is_kept(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, budget="200s")
    engine.prepare()
    engine.evaluate()
    engine.finish()
    assert 140 < engine.study.spent <= 200 + 2 * engine.executor.slots


def test_proposals_depend_on_the_study_alone(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, budget="60evals")
    engine.prepare()
    engine.evaluate()
    rows = engine.study.evaluations
    first, second = (make_engine(tmp_path / n).generation for n in "ab")
    for number in (60, 61, 99):
        one, two = first.propose(number, rows, set()), second.propose(number, rows, set())
        assert one is not None
        assert one == two
    assert first.propose(60, rows, set()) != first.propose(61, rows, set())


def test_an_exhausted_space_ends_the_search(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, schedulers=["DDIMScheduler"], steps=[2], budget="5000evals")
    engine.prepare()
    engine.evaluate()
    evaluated = [row.strategy.digest for row in engine.study.evaluations]
    # Call 0 has a ratio; call 1 has one of six depths, and a ratio unless its depth is 0.
    assert len(set(evaluated)) == len(evaluated) == 3 * (5 * 3 + 1)


def test_the_log_holds_plain_json(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, budget="3evals")
    engine.prepare()
    engine.evaluate()
    for line in (tmp_path / "study.journal").read_text().splitlines():
        assert isinstance(json.loads(line), dict)
