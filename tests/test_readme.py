"""The files and flags that the README names are there; `test_docs.py` runs its commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import strategies
from search import cli
from search.commands import COMMANDS
from search.commands.options import parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_links_and_commands_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    for script in ("run.sh", "test.sh"):
        assert f"./{script}" in README
        assert (ROOT / script).stat().st_mode & 0o111
    flags = parser().format_help()
    for flag in re.findall(r"python -m search (?:-[^`\n]*?)?(--[a-z-]+)", README):
        assert flag in flags


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_on_runs_are_as_they_say(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(rf"python -m search {command} RUN([^#`\n]*)", README)
    assert lines
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    flags = capsys.readouterr().out
    for flag in re.findall(r"--[a-z-]+", " ".join(lines)):
        assert flag in flags


def test_the_examples_are_valid() -> None:
    files = list((ROOT / "examples").glob("*.json"))
    assert files
    for path in files:
        one = strategies.load(path)
        assert one.provenance["model"] == "tiny-sd"
        assert one.scores["speedup"] > 1
