"""A model that is loaded once, and fake workers."""

from __future__ import annotations

import pytest

from tests.support.runs.engines import MODEL, PIPE
from tests.support.runs.fake_executor import FakeExecutor
from tests.support.runs.light import light, sketched

__all__ = ["executor", "light", "loaded", "sketched"]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is loaded once."""
    monkeypatch.setattr("search.commands.model_setup.load_pipeline", lambda *_, **__: PIPE)
    monkeypatch.setattr("search.commands.model_setup.load_model", lambda *_: (PIPE, MODEL))


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> FakeExecutor:
    found = FakeExecutor(slots=1)
    monkeypatch.setattr("search.workers.factory.make_executor", lambda *_: found)
    return found
