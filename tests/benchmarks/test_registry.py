"""The entry point of the benchmarks, and the page of their results."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from benchmarks import __main__ as cli
from benchmarks import report
from benchmarks.registry import BENCHMARKS, FOLDER, RESULTS, Benchmark
from benchmarks.renderers import RENDERERS
from benchmarks.renderers.markdown import short, table

ROOT = FOLDER.parent


def test_every_script_and_result_is_in_the_registry() -> None:
    scripts = set(FOLDER.rglob("*.py")) - {FOLDER / "__main__.py"}
    runnable = {path for path in scripts if "def main(" in path.read_text("utf-8")}
    assert {one.path for one in BENCHMARKS} == runnable
    known = {path for one in BENCHMARKS for path in one.files}
    # Written by `python -m evaluate`.
    assert set(RESULTS.glob("*.json")) - {RESULTS / "no_loss_384.json"} == known
    assert {one.name for one in BENCHMARKS if one.results} == set(RENDERERS)


def test_the_page_is_of_the_results() -> None:
    """Run `python -m benchmarks report` after a new result."""
    assert (ROOT / "docs" / "benchmarks.md").read_text("utf-8") == report.page()


def test_list_and_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(one.name in shown for one in BENCHMARKS)
    with pytest.raises(SystemExit):
        cli.main(["run", "nothing"])
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize("one", BENCHMARKS, ids=lambda one: one.name)
def test_scripts_explain_themselves(
    one: Benchmark, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [one.name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        importlib.import_module(one.module).main()
    assert "usage:" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", [one.name for one in BENCHMARKS])
def test_scripts_start_from_the_entry_point(name: str) -> None:
    command = [sys.executable, "-m", "benchmarks", "run", name, "--", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_numbers_have_three_digits() -> None:
    told = [short(value) for value in (0.0, 0.00012, 0.1234, 1.234, 12.34, 123.4, 1234.5)]
    assert told == ["0", "1.2e-04", "0.123", "1.23", "12.3", "123", "1,234"]
    assert table(["a", "b"], [("x|y", None)]) == "| a | b |\n| --- | --- |\n| x/y |  |"
