"""Progress on standard error, and the nearest word to a wrong flag."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from strategies import cli
from strategies.commands import progress_bar
from strategies.commands.progress_bar import ProgressBar


def shown(terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=80, markup=False)
    with ProgressBar(console) as report:
        for done in range(3):
            report("timing [both]", done, 3)
        report("speed", 0, 0)
    return text.getvalue()


def test_lines_come_now_and_then_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(terminal=False) == ""
    monkeypatch.setattr(progress_bar, "LINE_EVERY", 0.0)
    assert shown(terminal=False).splitlines() == [
        *(f"timing [both]: {done} of 3 images" for done in range(3)),
        "speed",
    ]


def test_a_part_that_had_a_line_has_one_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    text, clock = io.StringIO(), iter([0.0, 1.0, 11.0, 12.0, 13.0, 14.0, 15.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with ProgressBar(Console(file=text, width=80, markup=False)) as report:
        for done in (4, 8, 12):
            report("timing", done, 12)
        report("scoring", 1, 1)  # Done within the interval, so it has no line.
    assert text.getvalue().splitlines() == [
        "timing: 8 of 12 images",
        "timing: 12 of 12 images",
    ]


def test_a_terminal_has_a_bar() -> None:
    text = shown(terminal=True)
    assert "━" in text
    assert "speed" in text


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["reample", "dato-b1"], "did you mean 'resample'?"),
        (["resample", "dato-b1", "--stesp", "3"], "did you mean '--steps'?"),
        (["export", "dato-b1", "--to", "cachedit"], "did you mean 'cache-dit'?"),
        (["list", "--quux"], "--quux"),
    ],
)
def test_the_nearest_word_is_named(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(words)
    assert capsys.readouterr().err.rstrip().endswith(hint)
