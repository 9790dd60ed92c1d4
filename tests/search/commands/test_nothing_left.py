"""Nothing left to do: `--resume` of a finished run, and a dry run that foretells no search."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from search import cli
from search.commands import model_setup as command
from search.results import run as runs
from search.study import run_lock as lock
from tests.search.costs.test_budget import Paid
from tests.support.runs import fake_runs as made
from tests.support.runs.engines import make_engine, raced
from tests.support.runs.fake_executor import FakeExecutor

pytestmark = pytest.mark.usefixtures("sketched")


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != lock.NAME]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that is only ever copied."""
    folder = tmp_path_factory.mktemp("original") / "run"
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        flags = ["--budget", "20evals", "--out", str(folder)]
        flags += ["--csv", f"--json={folder.parent / 'told.json'}"]
        assert made.search(patch, FakeExecutor(), *flags) == 0
    (folder.parent / "told.csv").write_text(out.getvalue())
    return folder


@pytest.fixture
def done(original: Path, tmp_path: Path, capsys: Any) -> Path:
    capsys.readouterr()
    return Path(shutil.copytree(original, tmp_path / "run"))


def test_a_search_writes_its_front_for_programs(original: Path, capsys: Any) -> None:
    told = json.loads((original.parent / "told.json").read_text())
    assert told["run"] == str(original)
    assert told["state"] == "finished"
    assert told["summary"]["front"] == len(told["rows"])
    assert cli.main(["front", str(original), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == told["rows"]
    assert cli.main(["front", str(original), "--csv"]) == 0
    assert capsys.readouterr().out == (original.parent / "told.csv").read_text()


def test_an_ablation_writes_its_result_for_programs(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("search.workers.factory.make_executor", lambda *_: FakeExecutor())
    assert cli.main(["ablate", str(done), "--json", f"--csv={done / 'rows.csv'}"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found
    assert all(row["without"] not in row["strategy"]["methods"] for row in found)
    rows = list(csv.DictReader((done / "rows.csv").open()))
    assert [row["digest"] for row in rows] == [row["digest"] for row in found]


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--budget", "20evals"],
        ["--budget", "5evals"],
        ["--budget", "1s"],
        ["--workers", "3", "--timeout", "9"],
        ["--log-json", "-"],
        ["--json"],
    ],
    ids=str,
)
def test_a_finished_run_is_left_as_it_is(
    flags: list[str],
    done: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(*_: Any, **__: Any) -> None:
        pytest.fail("the model was loaded")

    monkeypatch.setattr(command, "load_pipeline", load)
    before, executor = state(done), FakeExecutor()
    assert made.search(monkeypatch, executor, "--resume", str(done), *flags) == 0
    assert state(done) == before
    assert not executor.seen
    shown = capsys.readouterr()
    taken = {"-", "--json"} & set(flags)
    (line,) = (shown.err if taken else shown.out).strip().splitlines()
    assert "--json" not in flags or json.loads(shown.out)["state"] == "finished"
    assert f"{done} is finished and was left as it is: 20 evaluations" in line
    assert line.endswith(f"python -m search --resume {done} --budget 40evals")


@pytest.mark.parametrize(("flag", "value"), [("--budget", "30evals"), ("--export", "2")])
def test_what_asks_for_more_goes_on(
    flag: str, value: str, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(done)
    assert made.search(monkeypatch, FakeExecutor(), "--resume", str(done), flag, value) == 0
    assert state(done) != before
    run = runs.load_run(done)
    assert run.state == "finished"
    assert len(run.study.evaluations) == (30 if flag == "--budget" else 20)
    assert flag == "--budget" or len(run.front()) <= 4


def test_device_time_is_compared_as_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    flags = ["--budget", "60s", "--out", str(folder)]
    assert made.search(monkeypatch, FakeExecutor(), *flags) == 0
    before, executor = state(folder), FakeExecutor()
    for same in ("1m", "59s", "3evals"):
        resume = ["--resume", str(folder), "--budget", same]
        assert made.search(monkeypatch, executor, *resume) == 0
    assert state(folder) == before
    assert made.search(monkeypatch, executor, "--resume", str(folder), "--budget", "80s") == 0
    assert executor.seen
    assert runs.load_run(folder).study.spent > 50


def test_a_flag_that_cannot_change_is_still_refused(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--resume", str(done), "--images", "9"]) == 2
    assert "--images cannot change" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--resume", "--out"])
def test_a_running_search_is_said_before_a_model_is_loaded(
    flag: str,
    done: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("search.commands.model_setup.load_model", lambda *_: pytest.fail("loaded"))
    monkeypatch.setattr(command, "load_pipeline", lambda *_: pytest.fail("loaded"))
    with lock.writing(done):
        assert cli.main([flag, str(done)]) == 2
    shown = capsys.readouterr().err
    assert f"a search is running in it; look at it with: python -m search status {done}" in shown


def test_a_taken_folder_is_said_before_a_model_is_loaded(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("search.commands.model_setup.load_model", lambda *_: pytest.fail("loaded"))
    assert cli.main(["--out", str(done)]) == 2
    assert "is not empty; continue a run by --resume" in capsys.readouterr().err


def foretold(folder: Path, budget: str) -> Any:
    return make_engine(folder, Paid(2), budget=budget, surrogate=False).predict()


def test_a_dry_run_without_a_search_says_which_budget_buys_one(tmp_path: Path) -> None:
    nothing = foretold(tmp_path / "a", "11s")
    assert not any(nothing.evaluations.values())
    assert "this budget buys no search" in nothing.lack
    advice = re.search(r"--budget (\w+) or more", nothing.lack)
    assert advice is not None
    better = foretold(tmp_path / "b", advice[1])
    assert better.lack == ""
    assert better.plan.beyond >= better.plan.start
    assert not any("too little" in line for line in better.lines())
    engine = make_engine(tmp_path / "real", Paid(2), budget=advice[1], surrogate=False)
    assert raced(engine)["beyond_seeds"] > 0


def test_a_dry_run_says_where_only_seeds_fit(tmp_path: Path) -> None:
    nothing = foretold(tmp_path / "a", "11s")
    few = foretold(tmp_path / "b", f"{int(nothing.total * 1.5)}s")
    assert any(few.evaluations.values())
    assert few.plan.beyond < few.plan.start
    assert few.lack == ""
    assert any("too little" in line and "--budget" in line for line in few.lines())
    assert foretold(tmp_path / "c", "12evals").plan.evolves  # What is asked for is what it does.


def test_a_dry_run_that_foretells_no_search_is_an_error_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--dry-run", "--budget", "2s", "--out", str(tmp_path / "run")]
    assert made.search(monkeypatch, Paid(2), *flags) == 2
    shown = capsys.readouterr()
    assert "device time" in shown.out
    (line,) = shown.err.strip().splitlines()
    assert line.startswith("error: this budget buys no search")
    assert not (tmp_path / "run").exists()
    flags[2] = "1h"
    assert made.search(monkeypatch, Paid(2), *flags) == 0
