"""Ctrl-C is one line in every command."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from strategies.commands.interrupts import run_interruptible

STRATEGY = ["--strategy", "deepcache-n2"]
PROMPT = ["--prompt", "a", "--out", "x.png"]


def interrupted(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("module", "place", "words"),
    [
        (
            "accel.cli",
            "accel.commands.generate_command.find_strategy",
            ["generate", *STRATEGY, *PROMPT],
        ),
        ("accel.cli", "accel.commands.calibrate.open_prompted", ["calibrate", *PROMPT]),
        ("evaluate.cli", "evaluate.commands.score.prepare", STRATEGY),
        ("strategies.cli", "strategies.commands.preset_listing.load", ["list"]),
        ("search.cli", "search.commands.run_options.read_run", ["status", "run"]),
        ("search.cli", "search.commands.model_setup.load_model", ["--dry-run"]),
    ],
)
def test_every_command_ends_in_one_line(
    module: str,
    place: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main = importlib.import_module(module).main
    monkeypatch.setattr(place, interrupted)
    assert main(words) == 130
    shown = capsys.readouterr()
    assert len(shown.err.splitlines()) == 1, shown.err


def test_processes_without_a_command_line_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_interruptible(interrupted) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert run_interruptible(lambda: None) == 0
