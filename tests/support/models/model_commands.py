"""Commands that load a model, and their errors."""

from __future__ import annotations

from typing import Any

import pytest

import accel.cli
import evaluate.cli
import search.cli


def fails(main: Any, capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    capsys.readouterr()
    assert main([str(word) for word in arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


COMMANDS = (
    (evaluate.cli.main, ["--metrics", "psnr"]),
    (search.cli.main, ["--objective", "psnr", "--objective", "latency"]),
    (accel.cli.main, ["generate", "--strategy", "deepcache-n3", "--prompt", "x", "--out", "x.png"]),
)
