"""Every wait has a limit and every end a word: hangs, signals, refusals, places without room."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from search import cli
from search.errors import WorkersLostError
from search.results import run as runs
from search.study.study import Study
from search.workers.executor import InProcessExecutor
from search.workers.messages import (
    A,
    AnyRequest,
    AnyResponse,
    EndToEndRequest,
    Handler,
    Request,
    Response,
    SampleRequest,
    TimeCallsRequest,
)
from search.workers.worker import Worker
from strategies.data_files import whole
from tests.search.run_folder.test_interrupted_writes import BUDGET, MORE, SMALL
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.folder_content import content

pytestmark = pytest.mark.usefixtures("loaded", "sketched")


class Hanging:
    """A fake worker that never answers requests of one kind."""

    device = "fake"

    def __init__(self, hangs: Callable[[AnyRequest], bool]) -> None:
        self.hangs, self.fake = hangs, FakeExecutor(slots=1)

    def answer(self, request: Request[A]) -> Response[A]:
        while self.hangs(request):
            time.sleep(0.01)
        return self.fake.answer(request)


@pytest.mark.parametrize(
    ("hangs", "what"),
    [
        (lambda one: isinstance(one, TimeCallsRequest), "latency table"),
        (lambda one: isinstance(one, EndToEndRequest), "end to end"),
        (lambda one: one.key.startswith("baseline-search"), "unaccelerated"),
        (lambda one: one.key.startswith("baseline-heldout"), "unaccelerated"),
    ],
)
def test_what_hangs_beside_the_candidates_is_given_up(
    hangs: Callable[[AnyRequest], bool],
    what: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    worker = Hanging(hangs)
    monkeypatch.setattr(
        "search.workers.factory.make_executor", lambda *_: InProcessExecutor(lambda: worker)
    )
    run = str(tmp_path / "run")
    assert cli.main([*SMALL, *BUDGET, "--timeout", "0.3", "--out", run]) in (1, 2)
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error: ")]
    assert what in line
    assert "took longer than its limit" in line
    assert f"--resume {run}" in line
    worker.hangs = lambda _: False
    assert cli.main(["--resume", run, "--timeout", "600"]) == 0
    assert runs.load_run(tmp_path / "run").state == "finished"


@dataclass(frozen=True, kw_only=True)
class Doing(Request[Any]):
    """A request that does what it is told."""

    work: Callable[[], Any]

    def answer_of(self, handler: Handler) -> Any:
        return self.work()


def test_a_clock_that_is_set_changes_no_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = object.__new__(Worker)
    jumps: Iterator[float] = iter(range(0, 10**9, 86_400))
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    outcome = worker.answer(Doing(key="a", work=lambda: time.time() + time.time()))
    assert outcome.value is not None
    assert outcome.value > 0
    assert outcome.seconds < 3600


def test_a_finished_run_charges_and_times_nothing(
    tmp_path: Path, executor: FakeExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    assert cli.main([*SMALL, "--budget", "20s", "--out", str(run)]) == 0
    before = json.loads((run / "summary.json").read_text())
    asked: Counter[str] = Counter()
    answer = executor.answer

    def counted(request: AnyRequest) -> AnyResponse:
        asked[type(request).__name__] += 1
        return answer(request)

    monkeypatch.setattr(executor, "answer", counted)
    for _ in range(2):
        cli.main(["--resume", str(run)])
        assert json.loads((run / "summary.json").read_text()) == before
    assert not asked
    # A larger budget buys what it would have bought without that.
    assert runs.load_run(run).study.spent == before["device_seconds"]


def test_lines_that_a_kill_has_cost_come_with_the_resumption(
    tmp_path: Path, executor: FakeExecutor
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    told = ["--log-json", str(log)]
    assert cli.main([*SMALL, *BUDGET, "--out", str(run), *told]) == 0
    lines = log.read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    lost = [i for i, row in enumerate(rows) if row["event"] == "evaluation"][2]
    finals = [i for i, row in enumerate(rows) if row["event"] == "final"]
    kept = [line for i, line in enumerate(lines) if i not in (lost, finals[0])]
    log.write_text("\n".join(kept) + "\n" + lines[-1][:20])
    assert cli.main(["--resume", str(run), *MORE, *told]) == 0
    found = []
    for line in log.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            assert line == lines[-1][:20]
    study = runs.load_run(run).study
    numbers = [row["number"] for row in found if row["event"] == "evaluation"]
    assert sorted(numbers) == sorted(e.number for e in study.evaluations)
    again = [row for row in found if row["event"] == "evaluation"][len(numbers) - 4 :]
    assert rows[lost]["number"] in numbers
    assert [row["evaluations"] for row in again] == sorted(row["evaluations"] for row in again)
    digests = Counter(row["digest"] for row in found if row["event"] == "final")
    assert dict(digests) == dict.fromkeys(study.named("heldout:"), 1)


def test_seconds_and_what_they_were_spent_on_are_one_entry(tmp_path: Path) -> None:
    study = make_engine(tmp_path).study
    study.enter("table", {"table": {"a": 1}}, 2.0)
    study.enter("part:0", {}, 3.0)
    study.enter("part:0", {}, 4.0)  # Measured again: in the place of the former.
    study.enter("part:8", {}, 5.0)
    study.note("seconds:part", 1.0)  # As earlier versions had it.
    for one in (study, Study(tmp_path / "study.journal")):
        assert one.noted("table") == {"a": 1}
        assert one.seconds("part") == 10.0
        assert one.spent == 12.0
    lines = (tmp_path / "study.journal").read_text().splitlines()
    assert sum('"table"' in line for line in lines) == 1


def test_no_candidate_is_blamed_for_a_disk() -> None:
    worker = object.__new__(Worker)

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/images")

    def unreadable() -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/data/adapter")

    with pytest.raises(whole.UnwritableError, match=r"/data/images.*No space left.*make room"):
        worker.answer(Doing(key="a", work=full))
    assert "FileNotFoundError" in worker.answer(Doing(key="a", work=unreadable)).error


def test_a_finished_run_tells_of_an_end_that_a_kill_has_cost(
    tmp_path: Path, executor: FakeExecutor
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    assert cli.main([*SMALL, *BUDGET, "--out", str(run), "--log-json", str(log)]) == 0
    before = content(run)
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:-2]))  # Killed after the run was finished.
    whole_log = [json.loads(line) for line in lines]
    for _ in range(2):
        assert cli.main(["--resume", str(run), "--log-json", str(log)]) == 0
        found = [json.loads(line) for line in log.read_text().splitlines()]
        for row, expected in zip(found, whole_log, strict=True):
            assert row | {"time": ""} == expected | {"time": ""}
    other = tmp_path / "other"  # A log of no earlier start has nothing to be completed.
    assert cli.main(["--resume", str(run), "--log-json", str(other)]) == 0
    assert not other.exists()
    assert content(run) == before


@pytest.mark.parametrize("package", ["strategies", "accel", "evaluate", "search"])
def test_a_command_freezes_what_python_would_search_when_it_exits(package: str) -> None:
    watched = "import atexit, gc; atexit.register(lambda: print('frozen', gc.get_freeze_count()))"
    run = f"import runpy, sys; sys.argv[1:] = ['--help']; runpy.run_module('{package}')"
    done = subprocess.run(
        [sys.executable, "-c", f"{watched}; {run}"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout.split("frozen")[1]) > 1000


def test_a_search_that_loses_its_workers_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Lost(FakeExecutor):
        left = 3

        def answer(self, request: Request[A]) -> Response[A]:
            self.left -= isinstance(request, SampleRequest)
            if not self.left:
                raise WorkersLostError("the Ray runtime is gone")
            return super().answer(request)

    lost, run = Lost(), tmp_path / "run"
    monkeypatch.setattr("search.workers.factory.make_executor", lambda *_: lost)
    assert cli.main([*SMALL, *BUDGET, "--out", str(run)]) == 1
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error: ")]
    assert line.endswith(f"the Ray runtime is gone; continue with: python -m search --resume {run}")
    lost.left = -1
    assert cli.main(["--resume", str(run)]) == 0
