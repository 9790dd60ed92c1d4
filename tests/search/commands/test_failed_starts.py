"""Starts that fail leave no folder, and the corrected command works; Ray in a long TMPDIR."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from search import cli
from search.commands import report as command
from search.results import run as runs
from strategies import StrategyError
from strategies import cli as strategies_cli
from tests.support.runs import fake_runs as made
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.ray_workers import Plain, Rest


def pictures(folder: Path, cut: bool = False) -> Path:
    folder.mkdir()
    for index in range(4):
        noise = np.random.default_rng(index).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{index}.jpg")
    if cut:  # The end alone is missing, which only reading all of it shows.
        (folder / "2.jpg").write_bytes((folder / "2.jpg").read_bytes()[:1500])
    return folder


class Starting(FakeExecutor):
    """Workers that do not start."""

    def open(self) -> str:
        raise StrategyError("no workers today")


@pytest.mark.parametrize("before", [False, True])
def test_a_failed_start_leaves_no_folder_and_the_corrected_command_works(
    before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("STRATAGEM_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "deep" / "run"
    if before:
        out.mkdir(parents=True)  # An empty folder of the user's own stays.
    flags = ["--budget", "6evals", "--out", str(out)]
    cut, whole = pictures(tmp_path / "cut", cut=True), pictures(tmp_path / "whole")
    wrong: list[tuple[FakeExecutor, list[str], str]] = [
        (FakeExecutor(), ["--reference", str(cut)], "2.jpg cannot be read as an image"),
        (FakeExecutor(), ["--reference", str(tmp_path / "none")], "is no folder of images"),
        (FakeExecutor(), ["--size", "30"], "cannot generate 30 x 30 pixels"),
        (FakeExecutor(), ["--base-steps", "5000"], "trained on 1000 timesteps"),
        (FakeExecutor(), ["--steps", "6-1001"], "trained on 1000 timesteps"),
        (FakeExecutor(), ["--workers", "1000"], "cores; give at most"),
        (FakeExecutor(), ["--budget", "0m"], "is nothing; give more"),
        (Starting(), [], "no workers today"),
    ]
    for executor, more, message in wrong:
        assert made.search(monkeypatch, executor, *flags, *more) == 2
        shown = capsys.readouterr().err
        assert message in shown
        assert len(shown.strip().splitlines()) == 1
        assert not executor.seen
        assert list(out.iterdir()) == [] if before else not out.parent.exists()
    done = made.search(monkeypatch, FakeExecutor(), *flags, "--reference", str(whole))
    assert done == 0, capsys.readouterr().err
    assert runs.load_run(out).state == "finished"


def test_a_report_goes_into_a_folder_or_a_file(tmp_path: Path, capsys: Any) -> None:
    run = made.finished(tmp_path / "run")
    (tmp_path / "folder.html").mkdir()
    for out, path in (
        ("page.html", "page.html"),
        ("new/page.htm", "new/page.htm"),
        ("folder", "folder/report.html"),
        ("folder.html", "folder.html/report.html"),
    ):
        assert command.main([str(run), "--out", str(tmp_path / out)]) == 0
        assert "<html" in (tmp_path / path).read_text()
        assert capsys.readouterr().out.strip() == str(tmp_path / path)


def test_a_pick_says_how_to_draw_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run = made.finished(tmp_path / "run")
    target = tmp_path / "new" / "one.json"
    assert cli.main(["pick", str(run), "--knee", "--out", str(target)]) == 0
    shown = capsys.readouterr().out
    how = f"python -m accel generate --model tiny-sd --strategy {target} --compare"
    assert how in shown
    point = runs.load_run(run).front()[0]
    plain = point.strategy.model_copy(update={"methods": {}})
    from search.commands import pick

    pick.show_choice(runs.load_run(run), [point], point)
    capsys.readouterr()
    bare = type(point)(**{**vars(point), "strategy": plain})
    pick.show_choice(runs.load_run(run), [bare], bare)
    shown = capsys.readouterr().out
    assert "fewer steps, no method" in shown
    assert "\nunaccelerated" not in shown


def test_files_are_written_into_folders_that_are_not_there(tmp_path: Path, capsys: Any) -> None:
    target = tmp_path / "none" / "x.json"
    assert strategies_cli.main(["resample", "dato-b1", "--steps", "25", "--out", str(target)]) == 0
    assert target.exists()
    for flag in ("--steps", "--calls"):
        assert strategies_cli.main(["resample", "dato-b1", flag, "0"]) == 2
        assert f"{flag} is 0; give at least 1" in capsys.readouterr().err


def long_folder(folder: Path) -> Path:
    """A place as jobs of a cluster have it, too long for a socket."""
    found = folder / "scratch" / ("job-" + "7" * 60)
    found.mkdir(parents=True)
    return found


def test_ray_gets_a_short_folder_where_its_own_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.workers import ray_runtime as ray_pool

    given: list[dict[str, Any]] = []

    def init(**flags: Any) -> None:
        given.append(flags)

    monkeypatch.setattr("search.workers.ray_runtime.ray.init", init)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp")
    assert ray_pool.connect("", 1) is None
    assert "_temp_dir" not in given[-1]
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.setenv(name, str(long_folder(tmp_path / name)))
        place = ray_pool.connect("", 1)
        assert place is not None
        assert given[-1]["_temp_dir"] == place
        assert len(place) + ray_pool.IN_IT <= ray_pool.SOCKET
        Path(place).rmdir()
        monkeypatch.delenv(name)


def test_a_ray_that_cannot_start_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.workers import ray_runtime as ray_pool

    places: list[str] = []

    def init(**flags: Any) -> None:
        places.append(flags["_temp_dir"])
        raise OSError("AF_UNIX path length cannot exceed 107 bytes:\n /x")

    monkeypatch.setattr("search.workers.ray_runtime.ray.init", init)
    monkeypatch.setenv("TMPDIR", str(long_folder(tmp_path)))
    with pytest.raises(StrategyError, match=r"Ray cannot be started here.*--workers 0") as told:
        ray_pool.connect("", 1)
    assert "\n" not in str(told.value)
    assert places
    assert not any(map(os.path.exists, places))
    monkeypatch.setattr(ray_pool, "SHORT", (str(tmp_path / "none"),))
    with pytest.raises(StrategyError, match="set RAY_TMPDIR to such a folder, or give --workers 0"):
        ray_pool.connect("", 1)


@pytest.mark.slow
def test_a_real_ray_runs_in_a_long_tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from search.workers.pool import WorkerPool
    from search.workers.ray_backend import RayBackend

    monkeypatch.setenv("TMPDIR", str(long_folder(tmp_path)))
    answers = tmp_path / "answers"
    answers.mkdir()
    hands = RayBackend(lambda device, group: Plain(answers, False), 1)
    pool = WorkerPool(hands, 1)
    try:
        pool.open()
        done = list(pool.run_all(iter([Rest(key="0", seconds=0.1, time_limit=60.0)])))
        assert [outcome.error for _, outcome in done] == [""]
    finally:
        pool.close()
    assert hands._scratch is not None
    assert not Path(hands._scratch).exists()
