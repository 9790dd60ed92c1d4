"""Runs of the fake workers, through the command line and without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from search import cli
from tests.support.runs.engines import make_engine
from tests.support.runs.fake_executor import FakeExecutor

SMALL = ["--space", "unet-small", "--images", "16", "--heldout-images", "16", "--export", "5"]


def finished(folder: Path) -> Path:
    """A run that has been exported."""
    engine = make_engine(folder, budget="60evals")
    engine.config.write(folder / "config.yaml")
    engine.prepare()
    engine.evaluate()
    engine.export(engine.finish())
    return folder


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
