"""Places without room or permission, and runs that others look at or refuse to change."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from search import cli
from search.results import folder_swap as exchange
from search.study import run_lock as lock
from strategies import StrategyError
from strategies.data_files import whole
from tests.search.engine.test_crash_recovery import small_disk
from tests.search.run_folder.test_interrupted_writes import BUDGET, MORE, SMALL
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.folder_content import content

pytestmark = pytest.mark.usefixtures("loaded")


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

    monkeypatch.setattr("search.workers.factory.make_executor", refuse)
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "new" / "run", tmp_path / "there"):
        log = ["--log-json", str(tmp_path / "log")]
        assert cli.main([*SMALL, *BUDGET, "--out", str(folder), *log]) == 2
    assert "no room" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert not list((tmp_path / "there").iterdir())


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


def test_what_is_staged_is_named_by_its_place(tmp_path: Path) -> None:
    refused = pytest.raises(whole.UnwritableError, match=rf"^{tmp_path}/run/a/b: cannot be")
    with refused, exchange.stage(tmp_path / "run" / "export", tmp_path / "run") as new:
        whole.write("a", new / "a" / "b")
