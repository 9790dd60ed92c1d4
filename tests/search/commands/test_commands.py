"""Looking at runs: status, front, export, plot and pick, whatever state a run is in."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import diffusers
import matplotlib.image
import numpy as np
import pytest

import strategies
from search import cli, config
from search.commands import COMMANDS
from search.pareto import nondominated
from search.results import run as runs
from search.study import run_lock as lock
from search.study.study import Study
from tests.support.runs import fake_runs as made
from tests.support.runs.engines import make_engine

READERS = {
    "status": [],
    "front": [],
    "export": ["--out", "{out}/export"],
    "plot": ["--out", "{out}/plot"],
    "report": ["--out", "{out}/report"],
    "pick": ["--knee", "--out", "{out}/knee.json"],
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.finished(tmp_path_factory.mktemp("done") / "run")


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.interrupted(tmp_path_factory.mktemp("broken-off"))


@pytest.fixture(autouse=True)
def without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Ray nor any pipeline can be had."""
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", None)
    monkeypatch.setattr("zoo.load", None)


def look(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = cli.main(list(arguments))
    shown = capsys.readouterr()
    assert code == 0, shown.err
    return str(shown.out)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == 2
    shown = capsys.readouterr()
    assert len(shown.err.strip().splitlines()) == 1
    return str(shown.err)


def test_status(done: Path, broken_off: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = look(capsys, "status", str(done))
    assert re.search(r"state  finished\n", shown)
    assert re.search(r"budget  60 of 60 evaluations\n", shown)
    assert re.search(r"exported front  \d+\n", shown)
    assert "left" not in shown
    shown = look(capsys, "status", str(broken_off))
    assert re.search(r"state  interrupted\n", shown)
    found = json.loads(look(capsys, "status", str(broken_off), "--json"))
    study = Study(broken_off / "study.journal", read_only=True)
    assert found["evaluations"] == len(study.evaluations)
    assert found["spent"] == study.spent
    points = np.array([row.objectives for row in study.evaluations])
    assert found["front"] == len(nondominated(points))
    assert 0 < found["hypervolume"] < 1
    assert found["rungs"] == {"16": len(study.evaluations)}


def test_a_running_search_is_seen_and_not_disturbed(
    broken_off: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = broken_off / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":8,"work')  # As a writer in the middle of a line.
    before = {path: path.stat().st_mtime_ns for path in broken_off.rglob("*")}
    with lock.writing(broken_off):
        for name, flags in READERS.items():
            given = [flag.format(out=tmp_path) for flag in flags]
            shown = look(capsys, name, str(broken_off), *given)
            if name == "status":
                assert re.search(r"state  running\n", shown)
                assert re.search(r"left  about \d+ s", shown)
        again = pytest.raises(strategies.StrategyError, match="a search is running in it")
        with again, lock.writing(broken_off):
            pass
    now = {path: path.stat().st_mtime_ns for path in before}
    assert {p for p in before if now[p] != before[p]} <= {broken_off / lock.NAME}
    assert journal.read_bytes() == whole + b'{"op_code":8,"work'
    with pytest.raises(strategies.StrategyError, match="for reading only"):
        Study(journal, read_only=True).note("key", 1)
    Study(journal)
    assert journal.read_bytes() == whole  # Opening it cuts the torn end and adds nothing.


def test_front(done: Path, broken_off: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(look(capsys, "front", str(done), "--csv"))))
    files = sorted((done / "strategies").glob("[0-9]*.json"))
    assert len(rows) == len(files)
    for row, file in zip(rows, files, strict=True):
        one = strategies.load(file)
        assert row["digest"] == one.digest[:12]
        assert float(row["fd_base"]) == one.scores["fd_base"]
        assert row["prompts"] == "heldout"
    found = json.loads(look(capsys, "front", str(done), "--json"))
    first = strategies.Strategy.create(**found["rows"][0]["strategy"])
    assert first.digest == strategies.load(files[0]).digest
    assert found["unaccelerated"]["speedup"] == 1
    shown = look(capsys, "front", str(done))
    assert f"exported front, {len(files)} strategies, 16 held-out prompts" in shown
    assert "fd_base: FD to the unaccelerated images" in shown
    assert max(map(len, shown.splitlines())) <= 80
    unfinished = look(capsys, "front", str(broken_off), "--csv")
    assert {row["prompts"] for row in csv.DictReader(io.StringIO(unfinished))} == {"search"}


def test_export(
    done: Path, broken_off: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    look(capsys, "export", str(done), "--out", str(tmp_path / "same"))
    for path in (done / "strategies").iterdir():
        assert (tmp_path / "same" / path.name).read_bytes() == path.read_bytes()
    look(capsys, "export", str(done), "--out", str(tmp_path / "more"), "--count", "10")
    numbered = sorted((tmp_path / "more").glob("[0-9]*.json"))
    assert len(numbered) == 10 > len(list((done / "strategies").glob("[0-9]*.json")))
    assert {strategies.load(path).scores["prompts"] for path in numbered} == {"search"}
    look(capsys, "export", str(broken_off), "--out", str(tmp_path / "early"))
    one = strategies.load(tmp_path / "early" / "fastest.json")
    assert one.provenance["model"] == "tiny-sd"
    assert one.provenance["device"] == "fake"
    assert not (tmp_path / "early" / "lossless.json").exists()
    shown = fails(capsys, "export", str(done), "--out", str(tmp_path / "more"))
    assert "is not empty" in shown


@pytest.mark.usefixtures("sharp")
def test_plot(
    done: Path, broken_off: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in (done, broken_off):
        out = tmp_path / run.name
        paths = look(capsys, "plot", str(run), "--out", str(out)).split()
        names = {"pareto", "convergence", "schedules"}
        assert {Path(path).name for path in paths} == {
            f"{name}.{suffix}" for name in names for suffix in ("png", "svg")
        }
        for name in names:
            pixels = matplotlib.image.imread(out / f"{name}.png")
            assert pixels.shape[1] >= 1000
            assert len(np.unique(pixels[..., :3] @ [1, 256, 65536])) > 20
            assert (out / f"{name}.svg").read_text().startswith("<?xml")
        text = (out / "pareto.svg").read_text()
        assert "FD to the unaccelerated images" in text
        assert "deepcache: depth" in (out / "schedules.svg").read_text()
    only = look(capsys, "plot", str(done), "--out", str(tmp_path), "--only", "schedules").split()
    assert [Path(path).name for path in only] == ["schedules.png", "schedules.svg"]


def test_pick(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = runs.load_run(done).front()
    target = tmp_path / "one.json"

    def pick(*what: str) -> strategies.Strategy:
        shown = look(capsys, "pick", str(done), *what, "--out", str(target))
        one = strategies.load(target)
        assert f"{one.scores['speedup']:.2f}x" in shown
        assert str(target) in shown
        return one

    wanted = (points[0].scores["speedup"] + points[-1].scores["speedup"]) / 2
    fast = [point for point in points if point.scores["speedup"] >= wanted]
    best = min(fast, key=lambda point: point.scores["fd_base"])
    assert pick("--speedup", f"{wanted}").digest == best.strategy.digest
    limit = sorted(point.scores["fd_real"] - point.base["fd_real"] for point in points)[1]
    near = [p for p in points if p.scores["fd_real"] - p.base["fd_real"] <= limit]
    for name in ("fd_real", "fd"):  # A metric's name is its figure to the reference.
        one = pick(f"--max-{name}-increase", f"{limit}")
        assert one.digest == near[0].strategy.digest
    assert pick("--knee").digest == strategies.load(done / "strategies" / "knee.json").digest
    assert all(point.no_loss != "yes" for point in points)  # So few images show nothing.
    assert pick("--max-latency", "10").digest == points[-1].strategy.digest


def test_the_file_of_a_pick_has_a_name(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    look(capsys, "pick", str(done.absolute()), "--speedup", "1.5")
    assert strategies.load("tiny-sd-speedup-1.5.json").name == "tiny-sd-speedup-1.5"


def test_what_cannot_be_picked_is_said(
    done: Path, broken_off: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--speedup 3" in fails(capsys, "pick", str(done))
    shown = fails(capsys, "pick", str(done), "--speedup", "1000")
    assert "the nearest of the" in shown
    assert "this front has fd_base" in fails(capsys, "pick", str(done), "--max-rubies", "3")
    assert "finished search" in fails(capsys, "pick", str(broken_off), "--no-loss")


def test_bad_runs_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there are status, front" in fails(capsys, "statsu", str(tmp_path))
    assert "not a run's folder" in fails(capsys, "status", str(tmp_path))
    config.resolve("tiny-sd", {}).write(tmp_path / "config.yaml")
    assert "no such study" in fails(capsys, "status", str(tmp_path))
    assert not (tmp_path / "study.journal").exists()
    engine = make_engine(tmp_path)
    assert engine.study.evaluations == []
    shown = look(capsys, "status", str(tmp_path))
    assert "0 of 12.0 min device time" in shown
    assert "not measured yet" in fails(capsys, "front", str(tmp_path))


def test_a_run_that_went_on_is_no_longer_finished(done: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(done, tmp_path / "copy")
    run = runs.load_run(copy)
    assert run.state == "finished"
    study = Study(copy / "study.journal")
    study.add(replace(study.evaluations[0], number=len(study.evaluations)))
    assert runs.load_run(copy).state == "interrupted"


@pytest.mark.parametrize("command", [*COMMANDS, None])
def test_help_reads_well(command: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([*([command] if command else []), "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "examples:" in shown
    assert "usage: python -m search" in shown
    assert not re.search(r"[a-z]-\n", shown), "a name is broken at its hyphen"
