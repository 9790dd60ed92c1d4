"""Runs that stop in the middle, and their resumption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import fake_runs as made
from tests.support.runs.fake_executor import FakeExecutor

FEW = ["--budget", "14evals", "--images", "6", "--heldout-images", "6", "--rungs", "6"]


def stopped(run: Path, monkeypatch: pytest.MonkeyPatch, *flags: str, after: int = 8) -> None:
    """A run with fake workers that ends in the middle."""
    executor = FakeExecutor(slots=1)
    executor.stop_after = after
    assert made.search(monkeypatch, executor, "--out", str(run), *FEW, *flags) == 130


def resumed(run: Path, monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    return made.search(monkeypatch, FakeExecutor(slots=1), "--resume", str(run), *flags)


def refused(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, *flags: str) -> str:
    """The one line that a resumption ends with; no file of the run may change."""
    before = content(run)
    capsys.readouterr()
    assert resumed(run, monkeypatch, *flags) == 2
    shown = str(capsys.readouterr().err)
    assert shown.count("\n") == 1, shown
    assert content(run) == before
    return shown


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
