"""Versions of huggingface-hub that cannot stop a download at a limit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from strategies import StrategyError
from strategies.sharing import hub_files


def test_an_old_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_files, "import_module", lambda _: SimpleNamespace())
    api = SimpleNamespace(endpoint=None)
    with pytest.raises(StrategyError, match=r"huggingface-hub 1\.0 or later, and [\d.]+ is inst"):
        hub_files._download(api, "me/mine", "0" * 40, "one.json", 10, 100)
