"""Every wait has a limit and every end a word: hangs, signals, refusals, places without room."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest

from search import cli
from search.commands.crash_message import farewell
from search.errors import WorkersLostError
from search.interruption import Ending, there
from search.results import export
from search.results import folder_swap as exchange
from search.results import run as runs
from search.study import run_lock as lock
from search.study import storage
from search.study.journal import open_journal
from search.workers.executor import InProcess
from search.workers.messages import (
    A,
    AnyOutcome,
    AnyRequest,
    EndToEndRequest,
    Handler,
    Outcome,
    Request,
    SampleRequest,
    TimeCallsRequest,
)
from search.workers.worker import Worker
from strategies import StrategyError
from strategies.commands.interrupts import stopped
from strategies.data_files import whole
from tests.search.engine.test_crash_recovery import small_disk
from tests.search.engine.test_search import MODEL, PIPE, make_engine
from tests.search.run_folder.test_interrupted_writes import BUDGET, MORE, SMALL
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.write_faults import in_a_child

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


class Slow(FakeExecutor):
    """Takes its time for each answer, and says in a file that it has begun."""

    def __init__(self, begun: Path) -> None:
        super().__init__(slots=1)
        self.begun = begun

    def answer(self, request: Request) -> Outcome:
        time.sleep(0.05)
        if request.key == "1":  # One evaluation has finished.
            self.begun.touch()
        return super().answer(request)


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is loaded once."""
    monkeypatch.setattr("search.commands.model_setup.load_pipeline", lambda *_, **__: PIPE)
    monkeypatch.setattr("search.commands.model_setup.load", lambda *_: (PIPE, MODEL))


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> FakeExecutor:
    found = FakeExecutor(slots=1)
    monkeypatch.setattr("search.workers.factory.start", lambda *_: found)
    return found


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def send(work: Callable[[], int], shown: Path, begun: Path, *signals: int) -> int:
    """Start some work in a child, send it signals once it has begun; returns its exit code."""
    child = os.fork()
    if not child:
        os._exit(os.waitstatus_to_exitcode(in_a_child(lambda: _as_usual(work), shown)))
    try:
        return _send(child, begun, signals)
    finally:
        begun.unlink(missing_ok=True)


def _as_usual(work: Callable[[], int]) -> int:
    """Work with the usual signals, as these tests may run where a shell has them ignored."""
    for number in there():
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, usual)
    return work()


def _send(child: int, begun: Path, signals: tuple[int, ...]) -> int:
    while not begun.exists():
        time.sleep(0.01)
    worker = int(subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(child)], capture_output=True, text=True, check=True
    ).stdout.split()[0])  # fmt: skip
    for number in signals:
        os.kill(worker, number)
        time.sleep(0.3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@needs_fork
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_search_with_what_it_has(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, shown, folder = tmp_path / "begun", tmp_path / "shown", tmp_path / "run"
    monkeypatch.setattr("search.workers.factory.start", lambda *_: Slow(begun))
    flags = [*SMALL, "--budget", "200evals", "--out", str(folder)]
    code = send(lambda: cli.main(flags), shown, begun, number)
    text = shown.read_text()
    assert code == 130, text
    assert "Traceback" not in text
    assert f"continue with: python -m search --resume {folder}" in text
    assert list((folder / "strategies").glob("unfinished-*.json"))
    assert (folder / "trials.csv").stat().st_size
    assert runs.read(folder).state == "interrupted"


@pytest.mark.parametrize("step", ["symlink", "fsync", "rename", "unlink"])
def test_a_signal_within_an_entry_leaves_the_journal_whole(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.journal"
    study = optuna.create_study(study_name="a", storage=open_journal(path))
    before = len(path.read_text().splitlines())
    do = getattr(os, step)

    def interrupted(*given: Any) -> Any:
        answer = do(*given)
        signal.raise_signal(signal.SIGTERM)
        return answer

    with Ending():
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, step, interrupted)
            study.set_user_attr("one", 1)
        study.set_user_attr("two", 2)
    assert len(path.read_text().splitlines()) == before + 2
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    assert storage.notes(path, "a") == {"one": 1, "two": 2}


@needs_fork
def test_a_second_signal_ends_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, shown, folder = tmp_path / "begun", tmp_path / "shown", tmp_path / "run"
    monkeypatch.setattr("search.workers.factory.start", lambda *_: Slow(begun))
    monkeypatch.setattr(export, "write_unfinished", lambda _: time.sleep(1e6))
    flags = [*SMALL, "--budget", "200evals", "--out", str(folder)]
    both = (signal.SIGINT, signal.SIGINT)
    assert send(lambda: cli.main(flags), shown, begun, *both) == 130
    last = shown.read_text().rstrip().splitlines()[-1]
    assert last == f"interrupted; continue with: python -m search --resume {folder}"
    assert "Traceback" not in shown.read_text()


@needs_fork
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_is_one_line(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, shown = tmp_path / "begun", tmp_path / "shown"

    def load(*_: Any) -> Any:
        begun.touch()
        time.sleep(1e6)

    monkeypatch.setattr("search.commands.model_setup.load", load)
    flags = [*SMALL, "--out", str(tmp_path / "run")]
    assert send(lambda: cli.main(flags), shown, begun, number) == 130
    assert shown.read_text().split() == ["interrupted"]
    assert not (tmp_path / "run").exists()


def test_signals_that_are_ignored_stay_so() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # As `nohup` does.
    try:
        with Ending():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, former)


class Hanging:
    """A fake worker that never answers requests of one kind."""

    device = "fake"

    def __init__(self, hangs: Callable[[AnyRequest], bool]) -> None:
        self.hangs, self.fake = hangs, FakeExecutor(slots=1)

    def answer(self, request: Request[A]) -> Outcome[A]:
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
    monkeypatch.setattr("search.workers.factory.start", lambda *_: InProcess(lambda: worker))
    run = str(tmp_path / "run")
    assert cli.main([*SMALL, *BUDGET, "--timeout", "0.3", "--out", run]) in (1, 2)
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error: ")]
    assert what in line
    assert "took longer than its limit" in line
    assert f"--resume {run}" in line
    worker.hangs = lambda _: False
    assert cli.main(["--resume", run, "--timeout", "600"]) == 0
    assert runs.read(tmp_path / "run").state == "finished"


@needs_fork
def test_a_process_that_goes_without_a_word_has_a_last_one(tmp_path: Path) -> None:
    shown = tmp_path / "shown"

    def gone() -> int:
        with farewell("go on so"):
            os._exit(1)  # As Ray does where its runtime is gone.

    def dismissed() -> int:
        with farewell("go on so") as dismiss:
            dismiss()
            os._exit(1)

    def well() -> int:
        with farewell("go on so"):
            return 0

    assert os.waitstatus_to_exitcode(in_a_child(gone, shown)) == 1
    until = time.monotonic() + 30
    while not shown.read_text() and time.monotonic() < until:
        time.sleep(0.01)  # The word comes from another process, after the end of the first.
    assert shown.read_text() == "go on so\n"
    for work in (dismissed, well):
        in_a_child(work, shown)
        time.sleep(0.2)
        assert not shown.read_text()


def test_an_end_leaves_the_signals_of_a_notebook_alone() -> None:
    """A `main` that is called in somebody's program must not make that program deaf."""
    before = {number: signal.getsignal(number) for number in there()}
    with pytest.raises(KeyboardInterrupt), Ending():
        signal.raise_signal(signal.SIGTERM)
    assert stopped("interrupted") == 130
    assert {number: signal.getsignal(number) for number in there()} == before


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

    def counted(request: AnyRequest) -> AnyOutcome:
        asked[type(request).__name__] += 1
        return answer(request)

    monkeypatch.setattr(executor, "answer", counted)
    for _ in range(2):
        cli.main(["--resume", str(run)])
        assert json.loads((run / "summary.json").read_text()) == before
    assert not asked
    # A larger budget buys what it would have bought without that.
    assert runs.read(run).study.spent == before["device_seconds"]


def test_a_refused_search_changes_no_file(
    tmp_path: Path,
    executor: FakeExecutor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    assert cli.main([*SMALL, *BUDGET, "--out", str(run)]) == 0
    before = content(run)
    resumed = ["--resume", str(run)]
    assert cli.main([*resumed, "--budget", "much"]) == 2
    assert cli.main([*SMALL, *BUDGET, "--out", str(run)]) == 2
    with lock.writing(run):
        assert cli.main([*resumed, *MORE]) == 2
    monkeypatch.setattr(executor, "open", lambda: "another device")
    assert cli.main([*resumed, *MORE]) == 2
    assert "another device" in capsys.readouterr().err
    assert content(run) == before


def test_a_new_run_that_is_refused_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> Any:
        raise StrategyError("there is no room for a worker")

    monkeypatch.setattr("search.workers.factory.start", refuse)
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "new" / "run", tmp_path / "there"):
        log = ["--log-json", str(tmp_path / "log")]
        assert cli.main([*SMALL, *BUDGET, "--out", str(folder), *log]) == 2
    assert "no room" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert not list((tmp_path / "there").iterdir())


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
    study = runs.read(run).study
    numbers = [row["number"] for row in found if row["event"] == "evaluation"]
    assert sorted(numbers) == sorted(e.number for e in study.evaluations)
    again = [row for row in found if row["event"] == "evaluation"][len(numbers) - 4 :]
    assert rows[lost]["number"] in numbers
    assert [row["evaluations"] for row in again] == sorted(row["evaluations"] for row in again)
    digests = Counter(row["digest"] for row in found if row["event"] == "final")
    assert dict(digests) == dict.fromkeys(study.named("heldout:"), 1)


def test_a_run_is_read_where_nothing_can_be_written(
    tmp_path: Path, executor: FakeExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "disk"
    with small_disk(place, 40 * 2**20):
        run = str(place / "run")
        assert cli.main([*SMALL, *BUDGET, "--out", run]) == 0
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        capsys.readouterr()
        assert cli.main(["status", run]) == 0
        assert "finished" in capsys.readouterr().out
        assert cli.main(["front", run]) == 0
        assert cli.main(["export", run, "--out", str(tmp_path / "out")]) == 0
        assert cli.main(["report", run, "--out", str(tmp_path / "page")]) == 0
        capsys.readouterr()
        for refused in (["report", run], ["plot", run], ["--resume", run, *MORE]):
            assert cli.main(refused) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert "Read-only file system" in line


def test_many_may_look_at_a_run_at_once(tmp_path: Path) -> None:
    assert not lock.is_held(tmp_path)
    with lock.writing(tmp_path):
        assert lock.is_held(tmp_path)
        assert lock.is_held(tmp_path)
    assert not lock.is_held(tmp_path)


@pytest.mark.parametrize("system", [True, False])
def test_a_folder_takes_the_place_of_another(
    system: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not system:
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    place = tmp_path / "place"
    for name in ("first", "second"):
        with exchange.stage(place, place) as new:
            whole.write(name, new / name)
            exchange.put(new, place)
        assert [path.name for path in place.iterdir()] == [name]
        assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_place_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(whole.UnwritableError, match="Not a directory"):
        whole.write("a", tmp_path / "file" / "b")
    with pytest.raises(whole.UnwritableError, match="Is a directory"):
        whole.write("a", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert not list(tmp_path.parent.glob(f"{tmp_path.name}*{whole.SUFFIX}"))


def test_what_a_living_process_writes_is_no_leftover(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        living = tmp_path / f"a.{child.pid}{whole.SUFFIX}"
        living.touch()
        assert whole.leftovers(tmp_path) == []
    finally:
        child.kill()
        child.wait()
    assert whole.leftovers(tmp_path) == [living]


def test_seconds_and_what_they_were_spent_on_are_one_entry(tmp_path: Path) -> None:
    study = make_engine(tmp_path).study
    study.enter("table", {"table": {"a": 1}}, 2.0)
    study.enter("part:0", {}, 3.0)
    study.enter("part:0", {}, 4.0)  # Measured again: in the place of the former.
    study.enter("part:8", {}, 5.0)
    study.note("seconds:part", 1.0)  # As earlier versions had it.
    for one in (study, runs.Study(tmp_path / "study.journal")):
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


def test_what_is_staged_is_named_by_its_place(tmp_path: Path) -> None:
    refused = pytest.raises(whole.UnwritableError, match=rf"^{tmp_path}/run/a/b: cannot be")
    with refused, exchange.stage(tmp_path / "run" / "export", tmp_path / "run") as new:
        whole.write("a", new / "a" / "b")


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

        def answer(self, request: Request[A]) -> Outcome[A]:
            self.left -= isinstance(request, SampleRequest)
            if not self.left:
                raise WorkersLostError("the Ray runtime is gone")
            return super().answer(request)

    lost, run = Lost(), tmp_path / "run"
    monkeypatch.setattr("search.workers.factory.start", lambda *_: lost)
    assert cli.main([*SMALL, *BUDGET, "--out", str(run)]) == 1
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error: ")]
    assert line.endswith(f"the Ray runtime is gone; continue with: python -m search --resume {run}")
    lost.left = -1
    assert cli.main(["--resume", str(run)]) == 0
