"""Flags of `python -m accel`, without a model."""

from __future__ import annotations

import re
import shlex

import pytest

import strategies
from accel.cli import main, parser
from tests.support.paths import ROOT


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x", "²"])
def test_counts_are_whole_numbers_from_one_up(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["generate", "--prompt", "x", "--strategy", "y", "--out", "z.png", f"--images={value}"]
    with pytest.raises(SystemExit):
        main(flags)
    assert "is not a whole number from 1 up" in capsys.readouterr().err


def test_the_commands_in_the_readme_are_accepted() -> None:
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"^python -m accel (.*)$", text, re.MULTILINE)
    assert commands
    for command in commands:
        flags = parser().parse_args(shlex.split(command, comments=True))
        assert strategies.load(ROOT / flags.strategy).calls
