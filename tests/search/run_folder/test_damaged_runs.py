"""Runs whose config, journal or database was cut, edited or lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from search import cli
from search.results import run as runs
from search.study import run_lock as lock
from search.study.storage.opening import study_notes
from search.study.study import Study
from strategies import StrategyError
from tests.support.runs.stopped_runs import refused, resumed, stopped

pytestmark = pytest.mark.usefixtures("sketched")


def test_a_config_that_was_cut_or_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    stopped(run, monkeypatch, "--min-speedup", "1.5")
    path = run / "config.yaml"
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    tops = [number for number, line in enumerate(lines) if not line.startswith((" ", "-"))]
    assert len(tops) > 20
    for number in tops[2::5]:  # Cut at the end of a setting.
        path.write_text("".join(lines[:number]))
        shown = refused(run, monkeypatch, capsys)
        assert "config.yaml" in shown or "search setting" in shown
        assert cli.main(["status", str(run)]) == 2
    for name, value in [
        ("constraints", {"min-speedup": 1.2}),
        ("constraints", {"min-speedup": 1.5, "max-fd_base": 3.0}),
        ("heldout_images", 5),
        ("seed", 3),
    ]:
        path.write_text(yaml.safe_dump(yaml.safe_load(whole) | {name: value}))
        shown = refused(run, monkeypatch, capsys)
        assert f"{path}: {name}" in shown
    assert "is 3, and the run began with 0" in shown
    path.write_text(yaml.safe_dump(yaml.safe_load(whole) | {"budget": "15evals"}))
    shutil.copytree(run, tmp_path / "free")
    assert resumed(tmp_path / "free", monkeypatch) == 0
    assert len(runs.load_run(tmp_path / "free").study.evaluations) == 15
    path.unlink()
    assert resumed(run, monkeypatch) == 0
    assert yaml.safe_load(path.read_text()) == yaml.safe_load(whole)


def test_a_journal_that_is_lost_or_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    stopped(run, monkeypatch)
    journal = run / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if b"entry:baseline-search" in line)
    for count in (0, 1, 2, first):
        journal.write_bytes(b"".join(lines[:count]))
        shown = refused(run, monkeypatch, capsys)
        assert "baseline-search.safetensors is there" in shown
    journal.unlink()
    assert "put a whole copy back" in refused(run, monkeypatch, capsys)
    # Cut where nothing drawn is lost it goes on.
    journal.write_bytes(b"".join(lines[: first + 5]))
    assert resumed(run, monkeypatch) == 0


def test_a_journal_with_entries_twice_or_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    stopped(run, monkeypatch)
    journal = run / "study.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    foreign = b'{"op_code":2,"worker_id":"dashboard","study_id":0,"user_attr":{"seen":1}}\n'
    journal.write_bytes(b"".join([*lines[:6], foreign, *lines[6:]]))
    assert Study(journal).noted("seen") == 1
    odd = b'{"op_code":99,"worker_id":"x"}\n'
    cases = {
        "which is there twice": [*lines[:7], lines[6], *lines[7:]],
        "1 are missing": [*lines[:6], *lines[7:]],
        "3 are missing": [*lines[:5], *lines[8:]],
        "line 6 is not JSON": [*lines[:5], b"{bad\n", *lines[5:]],
        "line 7 is no entry of a study": [*lines[:6], b"[1]\n", *lines[6:]],
        "(op_code 99)": [*lines, odd],
    }
    for words, damaged in cases.items():
        journal.write_bytes(b"".join(damaged))
        assert words in refused(run, monkeypatch, capsys)
        for command in ("status", "front"):
            assert cli.main([command, str(run)]) == 2
            shown = capsys.readouterr().err
            assert words in shown
            assert shown.count("\n") == 1
    # Without numbers a doubled evaluation is found by its own.
    bare = [line[line.index(b"op_code") - 1 :].join([b"{", b""]) for line in lines]
    assert json.loads(bare[0])["op_code"] == 0
    again = next(line for line in bare if json.loads(line)["op_code"] == 4)
    journal.write_bytes(b"".join([*bare, again]))
    with pytest.raises(StrategyError, match=r"evaluation 0 is in it twice"):
        Study(journal)


def test_one_study_in_a_database_has_one_lock_and_copies_become_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url, run = f"sqlite:///{tmp_path / 'studies.db'}", tmp_path / "run"
    stopped(run, monkeypatch, "--storage", url)
    name = runs.load_run(run).config.study
    with lock.studying(url, name), lock.studying(url, "another"):
        assert "a search is running in the study" in refused(run, monkeypatch, capsys)
    shutil.copytree(run, tmp_path / "copy")
    run.rename(tmp_path / "moved")
    assert resumed(tmp_path / "moved", monkeypatch) == 0
    assert runs.load_run(tmp_path / "moved").config.study == name
    before = len(runs.load_run(tmp_path / "moved").study.evaluations)
    capsys.readouterr()
    assert resumed(tmp_path / "copy", monkeypatch, "--budget", "17evals") == 0
    assert "is a copy" in capsys.readouterr().out
    copy = runs.load_run(tmp_path / "copy")
    assert copy.config.study != name
    assert len(copy.study.evaluations) == 17
    assert len(runs.load_run(tmp_path / "moved").study.evaluations) == before
    assert resumed(tmp_path / "copy", monkeypatch, "--budget", "18evals") == 0
    assert runs.load_run(tmp_path / "copy").config.study == copy.config.study
    assert study_notes(url, name)["home"]["path"] == str(tmp_path / "moved")
