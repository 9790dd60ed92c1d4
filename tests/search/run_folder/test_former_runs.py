"""Runs of version 0.1 are read, reported and resumed; `former_runs/told.json` is what it said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from evaluate import fingerprint
from search import cli
from search.results.run import load_run
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.fake_runs import search

FORMER = Path(__file__).parent / "former_runs"
TOLD: dict[str, Any] = json.loads((FORMER / "told.json").read_text(encoding="utf-8"))


def copy(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(FORMER / name, folder / name))


@pytest.mark.parametrize("name", TOLD)
def test_a_former_run_says_what_it_said(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, told = copy(name, tmp_path), TOLD[name]
    assert cli.main(["status", str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == told["status"]
    assert cli.main(["front", str(run), "--json"]) == 0
    front = json.loads(capsys.readouterr().out)
    assert front["state"] == told["state"]
    pairs = zip(front["rows"], told["rows"], strict=True)
    rows = [{key: row.get(key) for key in known} for row, known in pairs]
    assert rows == told["rows"]


@pytest.mark.parametrize("name", TOLD)
def test_a_former_run_is_reported_and_exported(name: str, tmp_path: Path) -> None:
    run = copy(name, tmp_path)
    assert cli.main(["report", str(run)]) == 0
    assert (run / "report.html").stat().st_size > 100_000
    assert cli.main(["export", str(run), "--out", str(tmp_path / "more")]) == 0
    assert len(list((tmp_path / "more").glob("*.json"))) >= len(TOLD[name]["rows"])
    assert cli.main(["plot", str(run), "--only", "pareto", "--out", str(tmp_path)]) == 0


class Former(FakeExecutor):
    """Workers on the device that a former run has measured."""

    def __init__(self, device: str) -> None:
        super().__init__(slots=1)
        self._device = device

    def open(self) -> str:
        return self._device


@pytest.mark.parametrize(("name", "budget"), [("unfinished", "20evals"), ("tiny-sd", "18evals")])
def test_a_former_run_goes_on(
    name: str, budget: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy(name, tmp_path)
    study = load_run(run).study
    before = study.evaluations
    packages = study.noted("inputs")["marks"]["packages"]  # Those of then need not be here.
    ours = "diffusion-stratagem"
    assert packages[ours] == fingerprint.package_versions()[ours]
    monkeypatch.setattr("evaluate.fingerprint.package_versions", lambda: packages)
    executor = Former(study.noted("device"))
    assert search(monkeypatch, executor, "--resume", str(run), "--budget", budget) == 0
    after = load_run(run)
    assert after.state == "finished"
    assert after.study.evaluations[: len(before)] == before
    assert len(after.study.evaluations) == int(budget.removesuffix("evals"))
    assert after.front()
