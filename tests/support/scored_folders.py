"""Models in folders, and the scoring command on them."""

from __future__ import annotations

import pytest

from evaluate import cli

CACHED = {"deepcache": {"depth": ["full", 1, 1, "full"]}}
QUICK = ["--images", "3", "--repeats", "1", "--device", "cpu"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == 0
    return capsys.readouterr().out


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == 2
    shown = capsys.readouterr().err
    lines = [line for line in shown.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    return lines[0]
