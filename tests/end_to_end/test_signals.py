"""Signals end a search with what it has, and are one line before it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from search import cli
from search.commands.endings.crash_message import farewell
from search.interruption import Ending, there
from search.results import export
from search.results import run as runs
from search.study.storage.journal import open_journal
from search.study.storage.opening import study_notes
from strategies.commands.interrupts import stopped
from tests.search.run_folder.test_interrupted_writes import SMALL
from tests.support.runs.child_signals import Slow, needs_fork, send
from tests.support.runs.write_faults import in_a_child

pytestmark = pytest.mark.usefixtures("loaded")


@needs_fork
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_search_with_what_it_has(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, shown, folder = tmp_path / "begun", tmp_path / "shown", tmp_path / "run"
    monkeypatch.setattr("search.workers.factory.make_executor", lambda *_: Slow(begun))
    flags = [*SMALL, "--budget", "200evals", "--out", str(folder)]
    code = send(lambda: cli.main(flags), shown, begun, number)
    text = shown.read_text()
    assert code == 130, text
    assert "Traceback" not in text
    assert f"continue with: python -m search --resume {folder}" in text
    assert list((folder / "strategies").glob("unfinished-*.json"))
    assert (folder / "trials.csv").stat().st_size
    assert runs.load_run(folder).state == "interrupted"


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
    assert study_notes(path, "a") == {"one": 1, "two": 2}


@needs_fork
def test_a_second_signal_ends_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, shown, folder = tmp_path / "begun", tmp_path / "shown", tmp_path / "run"
    monkeypatch.setattr("search.workers.factory.make_executor", lambda *_: Slow(begun))
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

    monkeypatch.setattr("search.commands.model_setup.load_model", load)
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
