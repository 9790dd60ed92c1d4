"""Runs of the fake workers, through the command line and without it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from search import cli
from search.results.plots import style
from search.surrogate import gaussian_process
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import FakeExecutor

_DONE = tempfile.TemporaryDirectory()  # Until the process ends.
SMALL = ["--space", "unet-small", "--images", "16", "--heldout-images", "16", "--export", "5"]


def finished(folder: Path) -> Path:
    """A run that has been exported: one search for all tests, of which each has a copy."""
    # Its files hold the folder's name, and plots in the resolution of the test's file.
    key = f"{style.SETTINGS['savefig.dpi']}-{gaussian_process.TREES}"
    first = Path(_DONE.name) / key / folder.name
    if not first.is_dir():
        _finish(first)
    shutil.copytree(first, folder, dirs_exist_ok=True)
    return folder


def _finish(folder: Path) -> None:
    engine = make_engine(folder, budget="60evals")
    engine.config.write(folder / "config.yaml")
    engine.prepare()
    engine.evaluate()
    engine.export(engine.finish())


def interrupted(folder: Path) -> Path:
    """A run that was stopped in the middle of its search."""
    executor = FakeExecutor()
    executor.stop_after = 50
    engine = make_engine(folder, executor)
    engine.config.write(folder / "config.yaml")
    with pytest.raises(KeyboardInterrupt):
        engine.prepare()
        engine.evaluate()
    return folder


def search(monkeypatch: pytest.MonkeyPatch, executor: FakeExecutor, *flags: str) -> int:
    """`python -m search` on the bundled model with fake workers; returns the exit code."""
    monkeypatch.setattr("search.workers.factory.make_executor", lambda *_: executor)
    return cli.main([*flags] if "--resume" in flags else [*SMALL, *flags])
