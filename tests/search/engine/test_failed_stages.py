"""What failed is named with its stage and reason, others take its place, and rows of it stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluate.extraction import ExtractedFeatures
from search.engine.search import Search
from search.errors import SearchError
from search.results import export, finalist
from search.study import failures
from search.study.failures import ROW, failure_kind, failure_lines
from search.workers.messages import CallTimes, SampleRequest, TimeCallsRequest
from strategies import Strategy
from tests.search.engine.test_score_checks import finish
from tests.support.runs import fake_runs as made
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import FailedError, FakeExecutor
from tests.support.runs.faulty_executor import Faulty

FEW: dict[str, Any] = {
    "seeds": ["fewer-steps", "grid"],
    "proposer": "random",
    "surrogate": False,
    "budget": "24evals",
    "images": 8,
    "heldout_images": 8,
    "export": 3,
}


def searched(folder: Path, executor: FakeExecutor | None = None, **flags: Any) -> Search:
    engine = make_engine(folder, executor or FakeExecutor(slots=1), **(FEW | flags))
    engine.prepare()
    engine.evaluate()
    return engine


def only(where: str, chosen: Callable[[Strategy], bool], reason: str = "out of memory") -> Any:
    def fault(strategy: Strategy, place: str) -> str:
        return reason if place == where and chosen(strategy) else ""

    return fault


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A run in which nothing failed."""
    engine = searched(tmp_path_factory.mktemp("sound"))
    finish(engine)
    return engine


def digests(engine: Search, role: str) -> list[str]:
    return [f.strategy.digest for f in finalist.finals(engine.study) if f.role == role]


@pytest.mark.parametrize("where", ["heldout", "end_to_end"])
def test_a_finalist_that_fails_makes_room_for_the_next(
    tmp_path: Path, sound: Search, where: str
) -> None:
    chosen, _ = sound.choice().best()
    bad = chosen[0].strategy.digest
    executor = Faulty(only(where, lambda one: one.digest == bad))
    engine = searched(tmp_path, executor)
    # Nothing else has changed: the search is the same.
    before, after = ([e.strategy.digest for e in one.study.evaluations] for one in (sound, engine))
    assert before == after
    summary = finish(engine)
    expected, _ = engine.choice().best({bad})
    assert set(digests(engine, "front")) == {e.strategy.digest for e in expected}
    assert len(expected) == 3
    stage = {"heldout": "held-out", "end_to_end": "end-to-end"}[where]
    (row,) = summary["failures"]
    assert (row["digest"], row["stage"], row["error"]) == (bad, stage, "out of memory")
    assert summary["failed"] == 1
    table = pd.read_csv(tmp_path / "front.csv", keep_default_na=False)
    (line,) = table[table.role == "failed"].to_dict("records")
    assert (line["digest"], line["stage"], line["error"]) == (bad[:12], stage, "out of memory")
    # A run that goes on draws and times nothing that it knows to fail.
    again = make_engine(tmp_path, Faulty(only(where, lambda one: one.digest == bad)), **FEW)
    again.prepare()
    again.finish()
    assert not again.executor.seen  # type: ignore[attr-defined]


def test_the_last_lines_the_report_and_the_files_name_what_failed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fault(strategy: Strategy, where: str) -> str:
        if where == "search":
            return "nan" if strategy.steps == 8 else ""
        return "a cold lamp" if where == "heldout" and strategy.steps == 6 else ""

    folder = tmp_path / "run"
    flags = ["--out", str(folder), "--budget", "20evals", "--objective", "psnr"]
    flags += ["--objective", "latency", "--steps", "4,6,8", "--initial", "fewer-steps"]
    flags += ["--no-surrogate", "--rungs", "16", "--proposer", "random"]
    assert made.search(monkeypatch, Faulty(fault), *flags) == 0
    shown = capsys.readouterr().out
    summary = json.loads((folder / "summary.json").read_text())
    stages = {one["stage"] for one in summary["failures"]}
    assert stages == {"search", "held-out"}
    report = (folder / "report.html").read_text()
    for one in summary["failures"]:
        assert one["digest"][:12] in shown
        assert one["digest"][:12] in report
    assert "failed in the search: psnr is nan and not a finite number" in shown
    assert "failed on held-out prompts: a cold lamp" in shown
    assert "a cold lamp" in report


def test_a_held_out_stage_in_which_all_fail_is_an_error_and_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "run"
    flags = ["--out", str(folder), "--budget", "20evals", "--no-surrogate", "--rungs", "16"]
    executor = Faulty(only("heldout", lambda _: True))
    assert made.search(monkeypatch, executor, *flags) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "no finalist could be scored" in line
    assert "failed on held-out prompts: out of memory" in line
    assert f"--resume {folder}" in line
    for name in ("front.csv", "report.html", "summary.json"):
        assert "out of memory" in (folder / name).read_text()
    assert not list((folder / "strategies").glob("knee*"))
    # As often as it fails, they are tried again; after it is mended, they are scored.
    again = Faulty(only("heldout", lambda _: True))
    assert made.search(monkeypatch, again, "--resume", str(folder)) == 1
    assert made.search(monkeypatch, again, "--resume", str(folder)) == 1
    tries = [count for (_, split), count in again.seen.items() if split == "heldout"]
    assert max(tries) == 2
    assert made.search(monkeypatch, FakeExecutor(), "--resume", str(folder)) == 0
    assert json.loads((folder / "summary.json").read_text())["failed"] == 0
    assert (folder / "strategies" / "knee.json").exists()


def test_a_search_in_which_all_fail_is_an_error(tmp_path: Path) -> None:
    executor = Faulty(only("search", lambda _: True))
    engine = searched(tmp_path, executor, budget="5evals")
    with pytest.raises(SearchError, match=r"all 5 candidates of the search failed.*out of memory"):
        engine.finish()


def test_failures_of_one_kind_in_a_row_stop_the_search(tmp_path: Path) -> None:
    def fails_from(number: int, reason: str) -> FakeExecutor:
        class Broken(FakeExecutor):
            def sample(self, request: SampleRequest) -> ExtractedFeatures:
                if request.key.isdigit() and int(request.key) >= number:
                    raise FailedError(reason.format(request.key))
                return super().sample(request)

        return Broken(slots=1)

    engine = make_engine(tmp_path / "a", fails_from(3, "no kernel at 0x{}"), **FEW)
    engine.prepare()
    with pytest.raises(SearchError, match=r"10 candidates in a row.*no kernel at.*--resume"):
        engine.evaluate()
    assert len(engine.study.evaluations) == 3 + ROW
    # Mended, the search goes on to its end.
    again = make_engine(tmp_path / "a", **FEW)
    again.prepare()
    again.evaluate()
    assert len(again.study.evaluations) == 24


def test_what_two_failures_have_in_common() -> None:
    assert failure_kind("psnr is nan, not 1") == failure_kind("psnr is inf, not 22")
    assert failure_kind("a" * 12 + " made NaN") == failure_kind("0" * 20 + " made NaN")
    assert failure_kind("out of memory") != failure_kind("took longer than its limit of 60 s")


def test_lines_name_every_candidate_of_a_kind() -> None:
    rows = [
        failures.Failure(f"{n:064x}", "grid", "DDIMScheduler", n, "search", f"psnr is {n}")
        for n in range(1, 4)
    ]
    (line,) = failure_lines(rows)
    assert line.startswith("3 failed in the search: psnr is 1: ")
    assert line.count("(grid, DDIM ") == 3


def test_a_search_that_stops_later_leaves_the_tables_of_its_former_export(tmp_path: Path) -> None:
    engine = searched(tmp_path)
    finish(engine)
    front, table = (tmp_path / "front.csv").read_text(), (tmp_path / "trials.csv").read_text()
    more = make_engine(
        tmp_path, Faulty(only("search", lambda _: True)), **(FEW | {"budget": "99evals"})
    )
    more.prepare()
    with pytest.raises(SearchError):
        more.evaluate()
    export.write_failed(more.so_far, more.initial)
    assert (tmp_path / "front.csv").read_text() == front
    assert len((tmp_path / "trials.csv").read_text()) > len(table)


class Untimed(FakeExecutor):
    """Fakes that cannot time a kind of call or a solver."""

    def __init__(self, kind: str, solver: str = "") -> None:
        super().__init__(slots=1)
        self.kind, self.solver = kind, solver

    def time_calls(self, request: TimeCallsRequest) -> CallTimes:
        kinds = {kind for one in request.strategies for kind in one.kinds()}
        if self.kind in kinds or self.solver in request.solvers:
            raise FailedError("RuntimeError: no kernel")
        return super().time_calls(request)


def test_the_latency_table_names_what_cannot_be_timed_and_goes_on(
    tmp_path: Path, sound: Search
) -> None:
    kinds = sorted(k for k in sound.prepared.costs.table.kinds if k and "1" in k)
    engine = make_engine(tmp_path, Untimed(kinds[0]), **FEW)
    engine.prepare()
    assert engine.study.noted("untimed") == {kinds[0]: "RuntimeError: no kernel"}
    assert set(engine.prepared.costs.table.kinds) == set(sound.prepared.costs.table.kinds)
    engine.evaluate()
    rows = engine.study.evaluations
    bad = [e for e in rows if kinds[0] in e.strategy.kinds()]
    assert bad
    assert [e for e in rows if not e.succeeded] == bad
    reason = f"calls of the kind {kinds[0]} could not be timed: RuntimeError: no kernel"
    assert {e.error for e in bad} == {reason}
    assert sum(e.seconds for e in bad) == 0
    assert not any(e.strategy.digest == d for e in bad for d, _ in engine.executor.seen)  # type: ignore[attr-defined]
    assert finish(engine)["front"] > 0


def test_a_solver_that_cannot_be_timed_is_left_out(tmp_path: Path) -> None:
    solver = "DPMSolverMultistepScheduler"
    engine = make_engine(tmp_path, Untimed("none", solver), **FEW)
    engine.prepare()
    engine.evaluate()
    rows = engine.study.evaluations
    assert {e.strategy.scheduler for e in rows if not e.succeeded} == {solver}
    assert all("the solver" in e.error for e in rows if not e.succeeded)


def test_an_unaccelerated_call_that_cannot_be_timed_is_the_models_fault(tmp_path: Path) -> None:
    engine = make_engine(tmp_path, Untimed(""), **FEW)
    with pytest.raises(SearchError, match="the unaccelerated pipeline failed: calls of the kind"):
        engine.prepare()


def test_when_the_unaccelerated_pipeline_cannot_be_timed_end_to_end_it_is_named(
    tmp_path: Path, sound: Search
) -> None:
    baseline = sound.unaccelerated.digest
    engine = searched(tmp_path, Faulty(only("end_to_end", lambda one: one.digest == baseline)))
    with pytest.raises(SearchError, match="unaccelerated pipeline failed while it was timed"):
        engine.finish()
    assert failures.finalists(engine.study) == set()
